import { setTimeout as pause } from 'node:timers/promises';
import type { Db, Tx } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import { findNodes } from '../db/leases.ts';
import { isUnavailable } from '../errors.ts';
import type { Bus } from './bus.ts';
import { REVOCATION_WAIT_MS } from './delivery-gate.ts';
import { isRevocation, toEnvelope, topicOf } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import { labelsOf, toStored } from './redaction.ts';
import type { TraceParent } from '../tracing.ts';
import { lockDeadline, TopicBusyError } from './topic-locks.ts';
import type { LockMode, TopicLocks } from './topic-locks.ts';

/** A transaction with the events that are published once it commits. */
export interface UnitOfWork {
  readonly tx: Tx;
  /**
   * Takes the topics' locks, so that what is read afterwards stays true until the commit. Locks are taken in order of
   * name, which rules out deadlocks: throws if a topic's name precedes one already locked.
   */
  lock(...topics: Topic[]): Promise<void>;
  /** Takes those of the topics' locks that are free. Returns the other topics. */
  lockFree(...topics: Topic[]): Promise<ReadonlySet<Topic>>;
  /** Creates the logs of new topics, with their locks. */
  create(...topics: Topic[]): Promise<void>;
  /**
   * Adds an event: stored with the unit's changes, and published in the order of calls after the commit. `trace` is the
   * span that caused it, where that is not the one that runs the unit.
   */
  emit(event: DomainEvent, trace?: TraceParent): void;
}

export interface TransactDeps {
  readonly db: Db;
  readonly bus: Bus;
  readonly topicLocks: TopicLocks;
}

/**
 * Runs the work in one transaction with the events it emits, and publishes them after the commit: the only way to
 * publish an event. When the work throws, nothing is stored or published. After a revocation, returns once no node
 * delivers anything to its sessions. Events reach the sockets of this process before it returns: they do not wait for what
 * the caller does next.
 *
 * Runs the work again, in a new transaction, when a topic's lock is not free, so that no connection waits for it; and once
 * when the connection was lost before the commit. Throws an outage after five seconds of waiting.
 */
export async function transact<Result>(
  deps: TransactDeps,
  work: (unit: UnitOfWork) => Promise<Result>,
): Promise<Result> {
  const deadline = lockDeadline();
  const owner = {};
  let busy: TopicBusyError | undefined;
  for (let attempt = 0; ; attempt += 1) {
    const progress: Progress = { stage: 'connecting' };
    const turn = busy;
    try {
      if (turn !== undefined) await deps.topicLocks.waitForTurn(turn, owner, deadline);
      const waitMs = attempt === 0 ? undefined : Math.max(1, Math.ceil(deadline - performance.now()));
      return await runOnce(deps, work, { owner, waitMs, progress });
    } catch (error) {
      busy = error instanceof TopicBusyError ? error : undefined;
      const isLost = attempt === 0 && progress.stage === 'working' && isUnavailable(error);
      if (busy === undefined && !isLost) throw error;
    } finally {
      // What the work reads now may not need the topic any more.
      if (turn !== undefined) deps.topicLocks.release([turn.topic], owner);
    }
  }
}

/** Runs the work as `transact`, but once, and waits at most `waitMs` for each lock. Throws an error with code 55P03 after it. */
export const transactBriefly = <Result>(
  deps: TransactDeps,
  waitMs: number,
  work: (unit: UnitOfWork) => Promise<Result>,
): Promise<Result> => runOnce(deps, work, { owner: {}, waitMs, progress: { stage: 'connecting' } });

interface Progress {
  stage: 'connecting' | 'working' | 'committing';
}

interface Attempt {
  /** Identifies the unit of work in `TopicLocks`. */
  readonly owner: object;
  readonly waitMs: number | undefined;
  readonly progress: Progress;
}

async function runOnce<Result>(
  { db, bus, topicLocks }: TransactDeps,
  work: (unit: UnitOfWork) => Promise<Result>,
  { owner, waitMs, progress }: Attempt,
): Promise<Result> {
  const { result, envelopes, revocations, traces } = await db.transaction().execute(async (tx) => {
    progress.stage = 'working';
    const events: DomainEvent[] = [];
    let traces: Map<DomainEvent, TraceParent> | undefined;
    const locks = createTopicLocks(tx, (topics, lock) => topicLocks.run(topics, owner, lock), waitMs);
    const result = await work({
      tx,
      lock: (...topics) => locks.take(topics),
      lockFree: (...topics) => locks.takeFree(topics),
      create: (...topics) => locks.create(topics),
      emit(event, trace) {
        events.push(event);
        if (trace !== undefined) (traces ??= new Map()).set(event, trace);
      },
    });
    await locks.take(events.map(topicOf));
    const envelopes = await store(tx, events, locks.heads);
    const revocations = await findRevocations(tx, envelopes);
    progress.stage = 'committing';
    return { result, envelopes, revocations, traces };
  });
  const others = revocations.length === 0 ? envelopes : envelopes.filter(({ event }) => !isRevocation(event));
  bus.publish(
    others.map((envelope) => {
      const trace = traces?.get(envelope.event);
      return trace === undefined ? { kind: 'event', envelope } : { kind: 'event', envelope, trace };
    }),
  );
  await Promise.all(revocations.map((revocation) => publishRevocation(bus, revocation)));
  if (envelopes.length > 0) await bus.turnEnd.over();
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

type RunLock = (
  topics: readonly Topic[],
  lock: (mode: LockMode) => Promise<ReadonlyMap<string, number>>,
) => Promise<ReadonlyMap<string, number>>;

/** Creates the topic locks of a transaction. */
function createTopicLocks(tx: Tx, run: RunLock, waitMs: number | undefined) {
  const locked = new Set<Topic>();
  const heads = new Map<string, number>();
  let lastTopic = '';
  const findMissing = (topics: readonly Topic[]): Topic[] => {
    const missing = [...new Set(topics)].filter((topic) => !locked.has(topic)).sort();
    if ((missing[0] ?? lastTopic) < lastTopic)
      throw new Error(`Lock order violated: ${missing.join(', ')} requested after ${lastTopic}`);
    return missing;
  };
  const add = (topics: readonly Topic[], found: ReadonlyMap<string, number>): void => {
    for (const [topic, head] of found) heads.set(topic, head);
    for (const topic of topics) locked.add(topic);
    lastTopic = topics.at(-1) ?? lastTopic;
  };
  return {
    /** Heads of the locked topics that exist. */
    heads,
    async take(topics: readonly Topic[]): Promise<void> {
      const missing = findMissing(topics);
      if (missing.length === 0) return;
      const lock = async (mode: LockMode) => {
        if (mode === 'wait') return eventLog.lockTopics(tx, missing, waitMs);
        const { heads: free, busy } = await eventLog.lockFreeTopics(tx, missing);
        const [first] = busy;
        if (first !== undefined) throw new TopicBusyError(first as Topic, false);
        return free;
      };
      add(missing, await run(missing, lock));
    },
    async takeFree(topics: readonly Topic[]): Promise<ReadonlySet<Topic>> {
      const missing = findMissing(topics);
      const { heads: free, busy } = await eventLog.lockFreeTopics(tx, missing);
      const busyTopics = new Set(busy as readonly Topic[]);
      add(
        missing.filter((topic) => !busyTopics.has(topic)),
        free,
      );
      return busyTopics;
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
