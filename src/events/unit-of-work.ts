import type { Db, Tx } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import type { Bus } from './bus.ts';
import { toEnvelope, topicOf } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';

/** One unit of work: a transaction and the facts that it will have brought about once it commits. */
export interface UnitOfWork {
  readonly tx: Tx;
  /**
   * Takes the topics' locks, so that what is read afterwards stays true until the commit. To make deadlocks
   * impossible locks are taken in order of name: a call for an earlier name than one already held throws.
   */
  lock(...topics: Topic[]): Promise<void>;
  /** Starts the logs of topics that this unit creates. */
  create(...topics: Topic[]): Promise<void>;
  /** Adds a fact. Facts are stored with the unit's changes and published, in this order, after the commit. */
  emit(event: DomainEvent): void;
}

/**
 * Runs the work in one transaction with the events it emits, and publishes them after the commit: the only way to
 * publish a fact. When the work throws, nothing is stored and nothing is said.
 */
export async function transact<Result>(
  deps: { readonly db: Db; readonly bus: Bus },
  work: (unit: UnitOfWork) => Promise<Result>,
): Promise<Result> {
  const { result, envelopes } = await deps.db.transaction().execute(async (tx) => {
    const events: DomainEvent[] = [];
    const locks = lockKeeper(tx);
    const result = await work({
      tx,
      lock: (...topics) => locks.take(topics),
      create: (...topics) => locks.create(topics),
      emit: (event) => void events.push(event),
    });
    await locks.take(events.map(topicOf));
    return { result, envelopes: await store(tx, events, locks.heads) };
  });
  deps.bus.publish(envelopes.map((envelope) => ({ kind: 'event', envelope })));
  return result;
}

async function store(
  tx: Tx,
  events: readonly DomainEvent[],
  heads: ReadonlyMap<string, number>,
): Promise<Envelope[]> {
  if (events.length === 0) return [];
  const lines = assignPositions(events, heads);
  const at = await eventLog.append(tx, lines);
  return lines.map((line) => toEnvelope({ ...line, at }));
}

/** Each event at the place after the one before it in its topic. */
function assignPositions(
  events: readonly DomainEvent[],
  heads: ReadonlyMap<string, number>,
): eventLog.NewLine[] {
  const last = new Map(heads);
  return events.map((event) => {
    const topic = topicOf(event);
    const head = last.get(topic);
    if (head === undefined) throw new Error(`An event for a topic without a log: ${topic}`);
    last.set(topic, head + 1);
    return { topic, seq: head + 1, event };
  });
}

function lockKeeper(tx: Tx) {
  const held = new Set<Topic>();
  const heads = new Map<string, number>();
  let last = '';
  return {
    /** Of the topics whose locks are held, as far as they exist. */
    heads,
    async take(topics: readonly Topic[]): Promise<void> {
      const missing = [...new Set(topics)].filter((topic) => !held.has(topic)).sort();
      if (missing.length === 0) return;
      if ((missing[0] ?? '') < last)
        throw new Error(`Lock order: ${missing.join(', ')} asked for after ${last}`);
      for (const [topic, head] of await eventLog.lockTopics(tx, missing)) heads.set(topic, head);
      for (const topic of missing) held.add(topic);
      last = missing.at(-1) ?? last;
    },
    async create(topics: readonly Topic[]): Promise<void> {
      await eventLog.createTopics(tx, topics);
      for (const topic of topics) {
        held.add(topic);
        heads.set(topic, 0);
      }
    },
  };
}
