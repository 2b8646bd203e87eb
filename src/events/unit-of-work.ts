import { setTimeout as pause } from 'node:timers/promises';
import type { Db, Tx } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import { findNodes } from '../db/leases.ts';
import type { Append } from '../db/log-changes.ts';
import { transactPipelined } from '../db/pipelined-transaction.ts';
import { isUnavailable, OutcomeUnknownError } from '../errors.ts';
import type { Bus } from './bus.ts';
import { REVOCATION_WAIT_MS } from './delivery-gate.ts';
import { isRevocation, toEnvelope, topicOf } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import { labelsOf, toStored } from './redaction.ts';
import type { TraceParent } from '../tracing.ts';
import type { OwnAppends } from './log-comparison.ts';
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
  /** Takes the topics' locks as `lock`. Sends the statements that `read` starts with those that lock, behind them. */
  lockAndRead<Read>(topics: readonly Topic[], read: () => Promise<Read>): Promise<Read>;
  /** Takes those of the topics' locks that are free. Returns the other topics. */
  lockFree(...topics: Topic[]): Promise<ReadonlySet<Topic>>;
  /** Creates the logs of new topics, with their locks. */
  create(...topics: Topic[]): Promise<void>;
  /**
   * Adds an event: stored with the unit's changes, and published in the order of calls after the commit. `trace` is the
   * span that caused it, where that is not the one that runs the unit.
   */
  emit(event: DomainEvent, trace?: TraceParent): void;
  /** Adds a statement that was started and whose result nothing needs. The commit follows it without waiting. */
  write(statement: Promise<void>): void;
}

export interface TransactDeps {
  readonly db: Db;
  readonly bus: Bus;
  readonly topicLocks: TopicLocks;
  readonly ownAppends: OwnAppends;
}

/**
 * Runs the work in one transaction with the events it emits, and publishes them after the commit: the only way to
 * publish an event. When the work throws, nothing is stored or published. After a revocation, returns once no node
 * delivers anything to its sessions. Events reach the sockets of this process before it returns: they do not wait for what
 * the caller does next.
 *
 * Runs the work again, in a new transaction, when a topic's lock is not free, so that no connection waits for it; and once
 * when the connection was lost before the commit. Throws an outage after five seconds of waiting, and `OutcomeUnknownError`
 * when the connection was lost during the commit.
 */
export async function transact<Result>(
  deps: TransactDeps,
  work: (unit: UnitOfWork) => Promise<Result>,
): Promise<Result> {
  const deadline = lockDeadline();
  const owner = {};
  let busy: TopicBusyError | undefined;
  for (let attempt = 0; ; attempt += 1) {
    const progress: Progress = { isConnected: false };
    const turn = busy;
    try {
      if (turn !== undefined) await deps.topicLocks.waitForTurn(turn, owner, deadline);
      const waitMs = attempt === 0 ? undefined : Math.max(1, Math.ceil(deadline - performance.now()));
      return await runOnce(deps, work, { owner, waitMs, progress });
    } catch (error) {
      busy = error instanceof TopicBusyError ? error : undefined;
      const isLost =
        attempt === 0 && progress.isConnected && isUnavailable(error) && !isOutcomeUnknown(error);
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
): Promise<Result> => runOnce(deps, work, { owner: {}, waitMs, progress: { isConnected: false } });

const isOutcomeUnknown = (error: unknown): boolean => error instanceof OutcomeUnknownError;

interface Progress {
  isConnected: boolean;
}

interface Attempt {
  /** Identifies the unit of work in `TopicLocks`. */
  readonly owner: object;
  readonly waitMs: number | undefined;
  readonly progress: Progress;
}

async function runOnce<Result>(
  { db, bus, topicLocks, ownAppends }: TransactDeps,
  work: (unit: UnitOfWork) => Promise<Result>,
  { owner, waitMs, progress }: Attempt,
): Promise<Result> {
  const events: DomainEvent[] = [];
  let traces: Map<DomainEvent, TraceParent> | undefined;
  const writes = new Writes();
  const { result, ...last } = await transactPipelined(db, async (tx) => {
    progress.isConnected = true;
    const locks = createTopicLocks(tx, (topics, lock) => topicLocks.run(topics, owner, lock), waitMs);
    const result = await work({
      tx,
      lock: (...topics) => locks.take(topics, async () => undefined),
      lockAndRead: (topics, read) => locks.take(topics, read),
      lockFree: (...topics) => locks.takeFree(topics),
      create: (...topics) => locks.create(topics),
      write: (statement) => void writes.add(statement),
      emit(event, trace) {
        events.push(event);
        if (trace !== undefined) (traces ??= new Map()).set(event, trace);
      },
    });
    await locks.take(events.map(topicOf), async () => undefined);
    const stored = writes.add(store(tx, events, locks.heads));
    return { result, stored, nodes: writes.add(findNodesOfRevocations(tx, events)) };
  }).catch((error: unknown) => writes.rethrow(error));
  const [{ envelopes, append }, nodes] = await Promise.all([last.stored, last.nodes]);
  ownAppends.newest = append ?? ownAppends.newest;
  const others = nodes.size === 0 ? envelopes : envelopes.filter(({ event }) => !nodes.has(event));
  bus.publish(
    others.map((envelope) => {
      const trace = traces?.get(envelope.event);
      return trace === undefined ? { kind: 'event', envelope } : { kind: 'event', envelope, trace };
    }),
  );
  await Promise.all(
    envelopes.flatMap((envelope) => {
      const nodeIds = nodes.get(envelope.event);
      return nodeIds === undefined ? [] : [publishRevocation(bus, { envelope, nodeIds })];
    }),
  );
  if (envelopes.length > 0) await bus.turnEnd.over();
  return result;
}

/** Statements that were sent without waiting for their results. */
class Writes {
  readonly #statements: Promise<unknown>[] = [];

  add<Written>(statement: Promise<Written>): Promise<Written> {
    statement.catch(() => undefined);
    this.#statements.push(statement);
    return statement;
  }

  /**
   * Throws the error of the first statement that failed, which says more than that of the commit; otherwise `error`.
   */
  async rethrow(error: unknown): Promise<never> {
    if (isOutcomeUnknown(error)) throw error;
    for (const statement of this.#statements) await statement;
    throw error;
  }
}

interface PublishedRevocation {
  readonly envelope: Envelope;
  /** The nodes with connections of its account. */
  readonly nodeIds: readonly string[];
}

/** Finds the nodes with connections of the accounts, for each revocation among the events. */
async function findNodesOfRevocations(
  tx: Tx,
  events: readonly DomainEvent[],
): Promise<ReadonlyMap<DomainEvent, readonly string[]>> {
  const revocations = events.filter(isRevocation);
  const nodeIds = await Promise.all(revocations.map(({ account }) => findNodes(tx, account)));
  return new Map(revocations.map((event, index) => [event, nodeIds[index] ?? []]));
}

/** Publishes a revocation. Resolves when every node has delivered it, or delivers nothing until it has. */
async function publishRevocation(bus: Bus, { envelope, nodeIds }: PublishedRevocation): Promise<void> {
  const publishedAt = performance.now();
  const confirmed = await bus.publishConfirmed({ kind: 'event', envelope }, nodeIds, REVOCATION_WAIT_MS);
  if (nodeIds.every((id) => confirmed.has(id))) return;
  await pause(Math.max(0, REVOCATION_WAIT_MS - (performance.now() - publishedAt)));
}

interface Stored {
  readonly envelopes: readonly Envelope[];
  /** The last event; undefined if there is none. */
  readonly append: Append | undefined;
}

async function store(
  tx: Tx,
  events: readonly DomainEvent[],
  heads: ReadonlyMap<string, number>,
): Promise<Stored> {
  const entries = assignSeqs(events, heads);
  const last = entries.at(-1);
  if (last === undefined) return { envelopes: [], append: undefined };
  const { at, transaction } = await eventLog.append(
    tx,
    entries.map((entry) => ({ ...entry, event: toStored(entry.event), ...labelsOf(entry.event) })),
  );
  return {
    envelopes: entries.map((entry) => toEnvelope({ ...entry, at })),
    append: { transaction, topic: last.topic, seq: last.seq },
  };
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

type RunLock = <Result>(
  topics: readonly Topic[],
  lock: (mode: LockMode) => Promise<Result>,
) => Promise<Result>;

/** Takes the locks of topics. Throws `TopicBusyError` if one is not free. */
async function lockIfFree(tx: Tx, topics: readonly Topic[]): Promise<ReadonlyMap<string, number>> {
  const { heads, busy } = await eventLog.lockFreeTopics(tx, topics);
  const [first] = busy;
  if (first !== undefined) throw new TopicBusyError(first as Topic, false);
  return heads;
}

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
    async take<Read>(topics: readonly Topic[], read: () => Promise<Read>): Promise<Read> {
      const missing = findMissing(topics);
      if (missing.length === 0) return read();
      return run(missing, async (mode) => {
        const locking = mode === 'wait' ? eventLog.lockTopics(tx, missing, waitMs) : lockIfFree(tx, missing);
        const [found, result] = await Promise.all([locking, read()]);
        add(missing, found);
        return result;
      });
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
