import type { Db, Tx } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import type { Bus } from './bus.ts';
import { fromLog, topicOf } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';

/** One unit of work: a transaction and the facts that it will have brought about once it commits. */
export interface Unit {
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
export async function recording<Result>(
  deps: { readonly db: Db; readonly bus: Bus },
  work: (unit: Unit) => Promise<Result>,
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
    return { result, envelopes: await store(tx, events) };
  });
  deps.bus.publish(envelopes.map((envelope) => ({ kind: 'event', envelope })));
  return result;
}

async function store(tx: Tx, events: readonly DomainEvent[]): Promise<Envelope[]> {
  const lines = await eventLog.append(
    tx,
    events.map((event) => ({ topic: topicOf(event), event })),
  );
  return lines.map(fromLog);
}

function lockKeeper(tx: Tx) {
  const held = new Set<Topic>();
  let last = '';
  return {
    async take(topics: readonly Topic[]): Promise<void> {
      const missing = [...new Set(topics)].filter((topic) => !held.has(topic)).sort();
      if (missing.length === 0) return;
      if ((missing[0] ?? '') < last)
        throw new Error(`Lock order: ${missing.join(', ')} asked for after ${last}`);
      await eventLog.lockTopics(tx, missing);
      for (const topic of missing) held.add(topic);
      last = missing.at(-1) ?? last;
    },
    async create(topics: readonly Topic[]): Promise<void> {
      await eventLog.createTopics(tx, topics);
      for (const topic of topics) held.add(topic);
    },
  };
}
