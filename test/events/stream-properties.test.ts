import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { Scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import type { EventLog, LogEntry } from '../../src/db/event-log.ts';
import { DomainError, forbidden } from '../../src/errors.ts';
import { BufferBudget } from '../../src/lib/buffer-budget.ts';
import { createBus } from '../../src/events/bus.ts';
import type { Bus, Notice } from '../../src/events/bus.ts';
import { encodeCursor, parseCursor } from '../../src/events/cursor.ts';
import { accessEndReason, toEnvelope } from '../../src/events/event.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import { openStream } from '../../src/events/open-stream.ts';
import type { EventStream, StreamItem } from '../../src/events/stream.ts';
import { createTails } from '../../src/events/tail.ts';
import type { UserId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import {
  createParticipantDeleted,
  createNumberedEvent,
  createParticipantKicked,
  TOPIC,
  createLink,
} from '../harness/event-core.ts';
import type { ActorRef } from '../../src/actor.ts';

// Property-based test (fast-check) of tail and stream. Their guarantees must hold under random interleavings: of commits and
// reads of the database, of deliveries, losses and duplicates on the network, and of readers that open, read, stall, close,
// resume and are removed. The log is a model of the real one (which test/events/stream.test.ts uses), so that the scheduler
// decides when its reads complete.

const EPOCH = 'e';
const HISTORIES = 10_000;
const MAX_STEPS = 24;
const log = createLogger('silent');
const MEMBERS = [1, 2];
const NODES = 2;

type Step =
  | { readonly type: 'emit'; readonly node: number; readonly count: number }
  | { readonly type: 'kick' | 'join' | 'delete' | 'logout'; readonly node: number; readonly member: number }
  | { readonly type: 'open'; readonly node: number; readonly member: number; readonly resume: boolean }
  | { readonly type: 'stall' | 'resume' | 'close'; readonly reader: number }
  | { readonly type: 'trim'; readonly keep: number }
  | { readonly type: 'compare'; readonly node: number };

const anyNode = fc.nat({ max: NODES - 1 });
const anyMember = fc.constantFrom(...MEMBERS);
const anyReader = fc.nat({ max: 5 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('emit' as const),
        node: anyNode,
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant('open' as const),
        node: anyNode,
        member: anyMember,
        resume: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('kick' as const, 'join' as const),
        node: anyNode,
        member: anyMember,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constantFrom('delete' as const, 'logout' as const),
        node: anyNode,
        member: anyMember,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('stall' as const, 'resume' as const, 'close' as const),
        reader: anyReader,
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('trim' as const), keep: fc.nat({ max: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('compare' as const), node: anyNode }) },
  ),
  { minLength: 4, maxLength: MAX_STEPS },
);

/** How the network treats each notice on its way to another node. */
const deliveries = fc.infiniteStream(
  fc.constantFrom('delivered', 'delivered', 'delivered', 'lost', 'twice', 'shrunk'),
);

const actorOf = (id: number): ActorRef => ({ kind: 'user', id: id as UserId });

/** Model of the database: commits take effect immediately and in order; reads complete later. */
class DatabaseModel {
  readonly entries: LogEntry[] = [];
  trimmed = 0;
  readonly members = new Set(MEMBERS);
  readonly deleted = new Set<number>();

  append(events: readonly DomainEvent[]): LogEntry[] {
    const newEntries = events.map((event, index) => ({
      topic: TOPIC,
      seq: this.entries.length + index + 1,
      event,
      at: '2026-01-01T00:00:00.000Z',
    }));
    this.entries.push(...newEntries);
    return newEntries;
  }

  get range() {
    return { head: this.entries.length, trimmed: this.trimmed };
  }

  /** Creates an event log that sends a query, evaluates it and returns its result at three different times. */
  eventLog(scheduler: Scheduler): EventLog {
    const query = async <Result>(read: () => Result): Promise<Result> => {
      await scheduler.schedule(Promise.resolve(), 'the database reads');
      const result = read();
      await scheduler.schedule(Promise.resolve(), 'the database returns');
      return result;
    };
    return {
      readRange: () => query(() => this.range),
      readAfter: (_topic, afterSeq, limit) =>
        query(() => {
          const startSeq = Math.max(afterSeq, this.trimmed);
          return { range: this.range, entries: this.entries.slice(startSeq, startSeq + limit) };
        }),
      readHeads: () => query(() => new Map([[TOPIC as string, this.entries.length]])),
      readChanges: (since) =>
        query(() => {
          const head = this.entries.length;
          const heads = since?.transactions === String(head) ? [] : [[TOPIC as string, head] as const];
          return {
            snapshot: { transactions: String(head), server: 'model', lastAppend: null },
            epoch: EPOCH,
            heads: new Map(heads),
          };
        }),
      renewEpochIfLost: () => query(() => EPOCH),
    };
  }
}

interface Reader {
  readonly member: number;
  /** Position to start after; undefined starts at the head. */
  readonly afterSeq: number | undefined;
  /** Head of the log when access was granted. */
  authorizedSeq: number;
  readonly items: StreamItem[];
  readonly session: AbortController;
  stream: EventStream | undefined;
  error: unknown;
  isEnded: boolean;
  /** Whether the client closed the stream. */
  isClosed: boolean;
  /** Resolved when a stalled reader resumes. */
  stall: PromiseWithResolvers<void> | undefined;
}

const seqOf = (item: StreamItem | undefined): number =>
  item === undefined ? 0 : parseCursor(EPOCH, TOPIC, item.cursor);

/** Runs a history. With `lossless` delivery no event has to be found by comparison. */
async function runHistory(
  scheduler: Scheduler,
  history: readonly Step[],
  delivery: Iterator<string>,
  lossless: boolean,
) {
  const database = new DatabaseModel();
  const buses = Array.from({ length: NODES }, () => createBus(log));
  const nodes = buses.map((bus) =>
    createTails({
      eventLog: database.eventLog(scheduler),
      epoch: { current: EPOCH },
      ownAppends: { newest: undefined },
      bus,
      log,
    }),
  );
  const readers: Reader[] = [];
  // Half of the members read over a connection with a tiny buffer budget.
  const budgets = [new BufferBudget(), new BufferBudget(1)];
  const background: Promise<unknown>[] = [];
  buses.forEach((bus, index) =>
    connectBus(
      bus,
      buses.filter((_, other) => other !== index),
      scheduler,
      delivery,
    ),
  );

  const commit = (node: number, events: readonly DomainEvent[]): void => {
    const notices = database
      .append(events)
      .map((entry): Notice => ({ kind: 'event', envelope: toEnvelope(entry) }));
    background.push(
      scheduler
        .schedule(Promise.resolve(), 'a commit is announced')
        .then(() => buses[node]?.publish(notices)),
    );
  };

  const openReader = (node: number, member: number, resume: boolean): void => {
    const previousReader = resume
      ? readers.findLast((reader) => reader.member === member && reader.items.length > 0)
      : undefined;
    const lastItem = previousReader?.items.at(-1);
    const afterSeq = lastItem && seqOf(lastItem);
    const reader: Reader = {
      member,
      afterSeq,
      authorizedSeq: 0,
      items: [],
      session: new AbortController(),
      stream: undefined,
      error: undefined,
      isEnded: false,
      isClosed: false,
      stall: undefined,
    };
    readers.push(reader);
    background.push(
      readStream(reader, () =>
        openStream(
          { tails: nodes[node] as (typeof nodes)[number], epoch: { current: EPOCH } },
          {
            topic: TOPIC,
            actor: actorOf(member),
            after: afterSeq === undefined ? null : encodeCursor(EPOCH, TOPIC, afterSeq),
            signal: reader.session.signal,
            budget: budgets[member % budgets.length],
            async authorize() {
              await scheduler.schedule(Promise.resolve(), 'the permission is read');
              const allowed = database.members.has(member);
              reader.authorizedSeq = database.entries.length;
              await scheduler.schedule(Promise.resolve(), 'the permission is returned');
              if (!allowed) throw forbidden('No member.');
            },
          },
        ),
      ),
    );
  };

  const runStep = (step: Step): void => {
    switch (step.type) {
      case 'emit':
        return commit(
          step.node,
          Array.from({ length: step.count }, (_, index) => createNumberedEvent(index + 1)),
        );
      case 'open':
        return database.deleted.has(step.member)
          ? undefined
          : openReader(step.node, step.member, step.resume);
      case 'kick':
        if (!database.members.delete(step.member)) return;
        return commit(step.node, [createParticipantKicked(step.member)]);
      case 'join':
        return database.deleted.has(step.member) ? undefined : void database.members.add(step.member);
      case 'delete':
        if (database.deleted.has(step.member)) return;
        database.deleted.add(step.member);
        if (database.members.delete(step.member)) commit(step.node, [createParticipantDeleted(step.member)]);
        return endSessions(step.member, 'ACCOUNT_DELETED');
      case 'logout':
        return endSessions(step.member, 'LOGGED_OUT');
      case 'trim':
        database.trimmed = Math.max(database.trimmed, database.entries.length - step.keep);
        return;
      case 'compare':
        return void background.push(nodes[step.node]?.compare() ?? Promise.resolve());
      case 'stall':
      case 'resume':
      case 'close': {
        const reader = readers[step.reader];
        if (reader === undefined) return;
        if (step.type === 'stall') reader.stall ??= Promise.withResolvers();
        else if (step.type === 'resume') resumeReading(reader);
        else {
          reader.isClosed = true;
          background.push(reader.stream?.return() ?? Promise.resolve());
        }
      }
    }
  };
  const endSessions = (member: number, reason: string): void => {
    for (const reader of readers)
      if (reader.member === member)
        background.push(
          scheduler.schedule(Promise.resolve(), 'a session ends').then(() => reader.session.abort(reason)),
        );
  };

  for (const step of history) {
    runStep(step);
    await scheduler.waitFor(Promise.resolve());
    if (scheduler.count() > 0) await scheduler.waitOne();
  }
  // No further steps: stalled readers resume, and each node compares once.
  for (const reader of readers) resumeReading(reader);
  await waitUntilIdle(scheduler);
  if (!lossless) {
    for (const node of nodes) background.push(node.compare());
    await waitUntilIdle(scheduler);
  }
  for (const reader of readers) expectGuarantees(reader, database);
  for (const reader of readers) reader.session.abort();
  await waitUntilIdle(scheduler);
  await Promise.all(background);
  for (const bus of buses) expect([...bus.topics()]).toEqual([]);
}

/** Waits until no task is pending in the scheduler, nor between two of its tasks. */
async function waitUntilIdle(scheduler: Scheduler): Promise<void> {
  do {
    await scheduler.waitIdle();
    await setImmediate();
  } while (scheduler.count() > 0);
}

function resumeReading(reader: Reader): void {
  reader.stall?.resolve();
  reader.stall = undefined;
}

/** Forwards notices in the order, and with the losses, that the scheduler chooses. */
function connectBus(bus: Bus, peers: readonly Bus[], scheduler: Scheduler, delivery: Iterator<string>): void {
  bus.connect(
    createLink((notices) => {
      for (const peer of peers) {
        for (const notice of notices) {
          const outcome = String(delivery.next().value);
          if (outcome === 'lost') continue;
          const forwarded: Notice =
            outcome === 'shrunk' && notice.kind === 'event'
              ? { kind: 'advanced', topic: notice.envelope.topic, seq: notice.envelope.seq }
              : notice;
          for (let times = outcome === 'twice' ? 2 : 1; times > 0; times -= 1)
            void scheduler
              .schedule(Promise.resolve(), 'the network delivers')
              .then(() => peer.receive(forwarded));
        }
      }
    }),
  );
}

async function readStream(reader: Reader, open: () => Promise<EventStream>): Promise<void> {
  try {
    reader.stream = await open();
    if (reader.isClosed) await reader.stream.return();
    for (;;) {
      await reader.stall?.promise;
      const { done, value } = await reader.stream.next();
      if (done === true) break;
      reader.items.push(value);
    }
  } catch (error) {
    reader.error = error;
  }
  reader.isEnded = true;
}

/** Expects that a reader received what the stream guarantees. */
function expectGuarantees(reader: Reader, database: DatabaseModel): void {
  const events = reader.items.filter((item) => item.type === 'event');
  const seqs = reader.items.map(seqOf);
  const eventSeqs = events.map(seqOf);
  // In order after its cursor, without a gap or a duplicate.
  const startSeq = reader.afterSeq ?? seqs[0] ?? 0;
  const seqBeforeFirst =
    reader.afterSeq === undefined && reader.items[0]?.type === 'event' ? startSeq - 1 : startSeq;
  expect(eventSeqs).toEqual(eventSeqs.map((_, index) => seqBeforeFirst + index + 1));
  // One `live` item, at the position reached.
  const liveIndex = reader.items.findIndex((item) => item.type === 'live');
  expect(reader.items.filter((item) => item.type === 'live').length).toBeLessThanOrEqual(1);
  if (liveIndex > 0) expect(seqs[liveIndex]).toBe(seqs[liveIndex - 1]);
  if (liveIndex === 0) expect(seqs[0]).toBe(startSeq);
  // Nothing follows the event that ended the access after it was granted.
  const removal = database.entries.find(
    (entry) =>
      entry.seq > reader.authorizedSeq &&
      accessEndReason(actorOf(reader.member), toEnvelope(entry).event) !== undefined,
  );
  expect(eventSeqs.at(-1) ?? 0).toBeLessThanOrEqual(removal?.seq ?? Infinity);
  if (reader.error !== undefined)
    return expectValidEnd(reader, eventSeqs.at(-1) ?? startSeq, database, removal);
  if (reader.isClosed) return;
  // A reader that reads and has not ended has access, is live, and has received everything.
  expect(reader.isEnded).toBe(false);
  expect(removal).toBeUndefined();
  expect(liveIndex).toBeGreaterThanOrEqual(0);
  expect(seqs.at(-1)).toBe(database.entries.length);
}

/** Expects that the stream ended for a valid reason. */
function expectValidEnd(
  reader: Reader,
  lastSeq: number,
  database: DatabaseModel,
  removal: LogEntry | undefined,
): void {
  if (!(reader.error instanceof DomainError)) throw reader.error;
  const { code, details } = reader.error;
  const lastItem = reader.items.at(-1);
  const endReason =
    lastItem?.type === 'event' ? accessEndReason(actorOf(reader.member), lastItem.event) : undefined;
  if (details.reason === 'KICKED') expect(endReason).toBe('KICKED');
  // The event of the deletion on this topic was committed with it, and is delivered before the end unless it was trimmed.
  else if (details.reason === 'ACCOUNT_DELETED' && (removal?.seq ?? 0) > database.trimmed)
    expect(seqOf(lastItem)).toBe(removal?.seq);
  else if (details.reason !== undefined)
    expect([endReason, reader.session.signal.reason]).toContain(details.reason);
  else if (code === 'CURSOR_EXPIRED')
    expect(parseCursor(EPOCH, TOPIC, details.oldest ?? '')).toBeGreaterThan(lastSeq);
  else expect(code).toBe('FORBIDDEN');
}

test(`${HISTORIES} random histories of commits, deliveries, readers and removals keep the guarantees of a stream`, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      steps,
      deliveries,
      fc.boolean(),
      async (scheduler, history, outcomes, lossless) => {
        const delivery = outcomes
          .map((outcome) => (lossless && outcome === 'lost' ? 'delivered' : outcome))
          [Symbol.iterator]();
        await runHistory(scheduler, history, delivery, lossless);
      },
    ),
    { numRuns: HISTORIES },
  );
}, 300_000);
