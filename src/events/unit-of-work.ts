import { setTimeout as pause } from 'node:timers/promises';
import type { Db, Tx } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import { findNodes } from '../db/leases.ts';
import type { Bus } from './bus.ts';
import { REVOCATION_WAIT_MS } from './delivery-gate.ts';
import { isRevocation, toEnvelope, topicOf } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import { labelsOf, toStored } from './redaction.ts';

/** A transaction with the events that are published once it commits. */
export interface UnitOfWork {
  readonly tx: Tx;
  /**
   * Takes the topics' locks, so that what is read afterwards stays true until the commit. Locks are taken in order of
   * name, which rules out deadlocks: throws if a topic's name precedes one already locked.
   */
  lock(...topics: Topic[]): Promise<void>;
  /** Creates the logs of new topics, with their locks. */
  create(...topics: Topic[]): Promise<void>;
  /** Adds an event: stored with the unit's changes, and published in the order of calls after the commit. */
  emit(event: DomainEvent): void;
}

/**
 * Runs the work in one transaction with the events it emits, and publishes them after the commit: the only way to
 * publish an event. When the work throws, nothing is stored or published. After a revocation, returns once no node
 * delivers anything to its sessions.
 */
export async function transact<Result>(
  deps: { readonly db: Db; readonly bus: Bus },
  work: (unit: UnitOfWork) => Promise<Result>,
): Promise<Result> {
  const { result, envelopes, revocations } = await deps.db.transaction().execute(async (tx) => {
    const events: DomainEvent[] = [];
    const locks = createTopicLocks(tx);
    const result = await work({
      tx,
      lock: (...topics) => locks.take(topics),
      create: (...topics) => locks.create(topics),
      emit: (event) => void events.push(event),
    });
    await locks.take(events.map(topicOf));
    const envelopes = await store(tx, events, locks.heads);
    return { result, envelopes, revocations: await findRevocations(tx, envelopes) };
  });
  const others = revocations.length === 0 ? envelopes : envelopes.filter(({ event }) => !isRevocation(event));
  deps.bus.publish(others.map((envelope) => ({ kind: 'event', envelope })));
  await Promise.all(revocations.map((revocation) => publishRevocation(deps.bus, revocation)));
  return result;
}

interface PublishedRevocation {
  readonly envelope: Envelope;
  /** The nodes with connections of its account. */
  readonly nodeIds: readonly string[];
}

async function findRevocations(tx: Tx, envelopes: readonly Envelope[]): Promise<PublishedRevocation[]> {
  const revocations: PublishedRevocation[] = [];
  for (const envelope of envelopes)
    if (isRevocation(envelope.event))
      revocations.push({ envelope, nodeIds: await findNodes(tx, envelope.event.account) });
  return revocations;
}

/** Publishes a revocation. Resolves when every node has delivered it, or delivers nothing until it has. */
async function publishRevocation(bus: Bus, { envelope, nodeIds }: PublishedRevocation): Promise<void> {
  const publishedAt = performance.now();
  const confirmed = await bus.publishConfirmed({ kind: 'event', envelope }, nodeIds, REVOCATION_WAIT_MS);
  if (nodeIds.every((id) => confirmed.has(id))) return;
  await pause(Math.max(0, REVOCATION_WAIT_MS - (performance.now() - publishedAt)));
}

async function store(
  tx: Tx,
  events: readonly DomainEvent[],
  heads: ReadonlyMap<string, number>,
): Promise<Envelope[]> {
  if (events.length === 0) return [];
  const entries = assignSeqs(events, heads);
  const at = await eventLog.append(
    tx,
    entries.map((entry) => ({ ...entry, event: toStored(entry.event), ...labelsOf(entry.event) })),
  );
  return entries.map((entry) => toEnvelope({ ...entry, at }));
}

interface NewEntry {
  readonly topic: Topic;
  readonly seq: number;
  readonly event: DomainEvent;
}

/** Assigns each event the next position of its topic. */
function assignSeqs(events: readonly DomainEvent[], heads: ReadonlyMap<string, number>): NewEntry[] {
  const newHeads = new Map(heads);
  return events.map((event) => {
    const topic = topicOf(event);
    const head = newHeads.get(topic);
    if (head === undefined)
      throw new Error(`The topic ${topic} has no log: create it before emitting its first event`);
    newHeads.set(topic, head + 1);
    return { topic, seq: head + 1, event };
  });
}

/** Creates the topic locks of a transaction. */
function createTopicLocks(tx: Tx) {
  const locked = new Set<Topic>();
  const heads = new Map<string, number>();
  let lastTopic = '';
  return {
    /** Heads of the locked topics that exist. */
    heads,
    async take(topics: readonly Topic[]): Promise<void> {
      const missing = [...new Set(topics)].filter((topic) => !locked.has(topic)).sort();
      if (missing.length === 0) return;
      if ((missing[0] ?? '') < lastTopic)
        throw new Error(`Lock order violated: ${missing.join(', ')} requested after ${lastTopic}`);
      for (const [topic, head] of await eventLog.lockTopics(tx, missing)) heads.set(topic, head);
      for (const topic of missing) locked.add(topic);
      lastTopic = missing.at(-1) ?? lastTopic;
    },
    async create(topics: readonly Topic[]): Promise<void> {
      await eventLog.createTopics(tx, topics);
      for (const topic of topics) {
        locked.add(topic);
        heads.set(topic, 0);
      }
    },
  };
}
