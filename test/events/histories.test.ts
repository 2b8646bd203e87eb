import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { Scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import type { EventLog, LogLine } from '../../src/db/event-log.ts';
import { DomainError, forbidden } from '../../src/errors.ts';
import { BufferBudget } from '../../src/lib/buffer-budget.ts';
import { createBus } from '../../src/events/bus.ts';
import type { Bus, Notice } from '../../src/events/bus.ts';
import { encodeCursor, parseCursor } from '../../src/events/cursor.ts';
import { accessEndReason, toEnvelope } from '../../src/events/event.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import { openStream } from '../../src/events/stream.ts';
import type { EventStream, StreamItem } from '../../src/events/stream.ts';
import { createTails } from '../../src/events/tail.ts';
import type { UserId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import {
  createParticipantDeleted,
  createNumberedEvent,
  createParticipantKicked,
  TOPIC,
} from '../harness/event-core.ts';
import type { ActorRef } from '../../src/actor.ts';

// Checks the guarantees of tail and stream under random interleavings: of commits and reads of the database, of deliveries,
// losses and duplicates on the network, and of readers that open, read, stall, close, resume and are removed. The log is a
// model of the real one (which test/events/stream.test.ts uses), so that the scheduler decides when its reads complete.

const EPOCH = 'e';
const HISTORIES = 10_000;
const MAX_STEPS = 24;
const log = createLogger('silent');
const MEMBERS = [1, 2];
const NODES = 2;

type Step =
  | { readonly type: 'say'; readonly node: number; readonly count: number }
  | { readonly type: 'kick' | 'join' | 'delete' | 'logout'; readonly node: number; readonly member: number }
  | { readonly type: 'open'; readonly node: number; readonly member: number; readonly resume: boolean }
  | { readonly type: 'stall' | 'resume' | 'cut'; readonly reader: number }
  | { readonly type: 'trim'; readonly keep: number }
  | { readonly type: 'compare'; readonly node: number };

const node = fc.nat({ max: NODES - 1 });
const member = fc.constantFrom(...MEMBERS);
const reader = fc.nat({ max: 5 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('say' as const),
        node,
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ type: fc.constant('open' as const), node, member, resume: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constantFrom('kick' as const, 'join' as const), node, member }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constantFrom('delete' as const, 'logout' as const), node, member }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('stall' as const, 'resume' as const, 'cut' as const),
        reader,
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('trim' as const), keep: fc.nat({ max: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('compare' as const), node }) },
  ),
  { minLength: 4, maxLength: MAX_STEPS },
);

/** The fate of each notice on its way to the other node. */
const fates = fc.infiniteStream(
  fc.constantFrom('delivered', 'delivered', 'delivered', 'lost', 'twice', 'shrunk'),
);

const actorOf = (id: number): ActorRef => ({ kind: 'user', id: id as UserId });

/** Model of the database: commits take effect immediately and in order; reads complete later. */
class World {
  readonly lines: LogLine[] = [];
  trimmed = 0;
  readonly members = new Set(MEMBERS);
  readonly deleted = new Set<number>();

  append(events: readonly DomainEvent[]): LogLine[] {
    const added = events.map((event, index) => ({
      topic: TOPIC,
      seq: this.lines.length + index + 1,
      event,
      at: '2026-01-01T00:00:00.000Z',
    }));
    this.lines.push(...added);
    return added;
  }

  get range() {
    return { head: this.lines.length, trimmed: this.trimmed };
  }

  /** The query is sent, evaluated and answered at three different times. */
  eventLog(scheduler: Scheduler): EventLog {
    const answer = async <Answer>(read: () => Answer): Promise<Answer> => {
      await scheduler.schedule(Promise.resolve(), 'the database reads');
      const result = read();
      await scheduler.schedule(Promise.resolve(), 'the database answers');
      return result;
    };
    return {
      readRange: () => answer(() => this.range),
      readAfter: (_topic, position, limit) =>
        answer(() => {
          const from = Math.max(position, this.trimmed);
          return { range: this.range, lines: this.lines.slice(from, from + limit) };
        }),
      readHeads: () => answer(() => new Map([[TOPIC as string, this.lines.length]])),
    };
  }
}

interface Reader {
  readonly member: number;
  /** Position to start after. */
  readonly after: number | undefined;
  /** Head of the log when access was granted. */
  grantedAt: number;
  readonly items: StreamItem[];
  readonly session: AbortController;
  stream: EventStream | undefined;
  error: unknown;
  over: boolean;
  /** Closed by the client. */
  cut: boolean;
  stalled: PromiseWithResolvers<void> | undefined;
}

const positionOf = (item: StreamItem | undefined): number =>
  item === undefined ? 0 : parseCursor(EPOCH, TOPIC, item.cursor);

/** Runs a history. With `lossless` delivery nothing has to be found by comparison. */
async function run(
  scheduler: Scheduler,
  history: readonly Step[],
  fate: Iterator<string>,
  lossless: boolean,
) {
  const world = new World();
  const buses = Array.from({ length: NODES }, () => createBus(log));
  const nodes = buses.map((bus) => createTails({ eventLog: world.eventLog(scheduler), bus, log }));
  const readers: Reader[] = [];
  // Half of the members read over a connection with a tiny buffer budget.
  const budgets = [new BufferBudget(), new BufferBudget(1)];
  const background: Promise<unknown>[] = [];
  buses.forEach((bus, index) =>
    connect(
      bus,
      buses.filter((_, other) => other !== index),
      scheduler,
      fate,
    ),
  );

  const commit = (on: number, events: readonly DomainEvent[]): void => {
    const notices = world
      .append(events)
      .map((line): Notice => ({ kind: 'event', envelope: toEnvelope(line) }));
    background.push(
      scheduler.schedule(Promise.resolve(), 'a commit is announced').then(() => buses[on]?.publish(notices)),
    );
  };

  const open = (on: number, id: number, resume: boolean): void => {
    const former = resume ? readers.findLast((one) => one.member === id && one.items.length > 0) : undefined;
    const last = former?.items.at(-1);
    const after = last && positionOf(last);
    const opened: Reader = {
      member: id,
      after,
      grantedAt: 0,
      items: [],
      session: new AbortController(),
      stream: undefined,
      error: undefined,
      over: false,
      cut: false,
      stalled: undefined,
    };
    readers.push(opened);
    background.push(
      read(opened, () =>
        openStream(
          { tails: nodes[on] as (typeof nodes)[number], epoch: EPOCH },
          {
            topic: TOPIC,
            actor: actorOf(id),
            after: after === undefined ? null : encodeCursor(EPOCH, TOPIC, after),
            signal: opened.session.signal,
            budget: budgets[id % budgets.length],
            async authorise() {
              await scheduler.schedule(Promise.resolve(), 'the permission is read');
              const allowed = world.members.has(id);
              opened.grantedAt = world.lines.length;
              await scheduler.schedule(Promise.resolve(), 'the permission is answered');
              if (!allowed) throw forbidden('No member.');
            },
          },
        ),
      ),
    );
  };

  const take = (step: Step): void => {
    switch (step.type) {
      case 'say':
        return commit(
          step.node,
          Array.from({ length: step.count }, (_, index) => createNumberedEvent(index + 1)),
        );
      case 'open':
        return world.deleted.has(step.member) ? undefined : open(step.node, step.member, step.resume);
      case 'kick':
        if (!world.members.delete(step.member)) return;
        return commit(step.node, [createParticipantKicked(step.member)]);
      case 'join':
        return world.deleted.has(step.member) ? undefined : void world.members.add(step.member);
      case 'delete':
        if (world.deleted.has(step.member)) return;
        world.deleted.add(step.member);
        if (world.members.delete(step.member)) commit(step.node, [createParticipantDeleted(step.member)]);
        return endSessions(step.member, 'ACCOUNT_DELETED');
      case 'logout':
        return endSessions(step.member, 'LOGGED_OUT');
      case 'trim':
        world.trimmed = Math.max(world.trimmed, world.lines.length - step.keep);
        return;
      case 'compare':
        return void background.push(nodes[step.node]?.compare() ?? Promise.resolve());
      case 'stall':
      case 'resume':
      case 'cut': {
        const one = readers[step.reader];
        if (one === undefined) return;
        if (step.type === 'stall') one.stalled ??= Promise.withResolvers();
        else if (step.type === 'resume') resumeReading(one);
        else {
          one.cut = true;
          background.push(one.stream?.return() ?? Promise.resolve());
        }
      }
    }
  };
  const endSessions = (id: number, reason: string): void => {
    for (const one of readers)
      if (one.member === id)
        background.push(
          scheduler.schedule(Promise.resolve(), 'a session ends').then(() => one.session.abort(reason)),
        );
  };

  for (const step of history) {
    take(step);
    await scheduler.waitFor(Promise.resolve());
    if (scheduler.count() > 0) await scheduler.waitOne();
  }
  // Then nothing more happens: stalled readers resume, and each node compares once.
  for (const one of readers) resumeReading(one);
  await quiet(scheduler);
  if (!lossless) {
    for (const one of nodes) background.push(one.compare());
    await quiet(scheduler);
  }
  for (const one of readers) check(one, world);
  for (const one of readers) one.session.abort();
  await quiet(scheduler);
  await Promise.all(background);
  for (const bus of buses) expect([...bus.topics()]).toEqual([]);
}

/** Waits until no task is pending in the scheduler, nor between two of its tasks. */
async function quiet(scheduler: Scheduler): Promise<void> {
  do {
    await scheduler.waitIdle();
    await setImmediate();
  } while (scheduler.count() > 0);
}

function resumeReading(one: Reader): void {
  one.stalled?.resolve();
  one.stalled = undefined;
}

/** Forwards notices in the order, and with the losses, that the scheduler chooses. */
function connect(bus: Bus, others: readonly Bus[], scheduler: Scheduler, fate: Iterator<string>): void {
  bus.connect({
    send(notices) {
      for (const other of others) {
        for (const notice of notices) {
          const become = String(fate.next().value);
          if (become === 'lost') continue;
          const shrunk: Notice =
            become === 'shrunk' && notice.kind === 'event'
              ? { kind: 'advanced', topic: notice.envelope.topic, seq: notice.envelope.seq }
              : notice;
          for (let times = become === 'twice' ? 2 : 1; times > 0; times -= 1)
            void scheduler
              .schedule(Promise.resolve(), 'the network delivers')
              .then(() => other.receive(shrunk));
        }
      }
    },
  });
}

async function read(one: Reader, open: () => Promise<EventStream>): Promise<void> {
  try {
    one.stream = await open();
    if (one.cut) await one.stream.return();
    for (;;) {
      await one.stalled?.promise;
      const { done, value } = await one.stream.next();
      if (done === true) break;
      one.items.push(value);
    }
  } catch (error) {
    one.error = error;
  }
  one.over = true;
}

/** Checks the guarantees to one reader. */
function check(one: Reader, world: World): void {
  const events = one.items.filter((item) => item.type === 'event');
  const positions = one.items.map(positionOf);
  const seen = events.map(positionOf);
  // In order after its cursor, without a gap or a duplicate.
  const begin = one.after ?? positions[0] ?? 0;
  const first = one.after === undefined && one.items[0]?.type === 'event' ? begin - 1 : begin;
  expect(seen).toEqual(seen.map((_, index) => first + index + 1));
  // One `live` item, at the position reached.
  const live = one.items.findIndex((item) => item.type === 'live');
  expect(one.items.filter((item) => item.type === 'live').length).toBeLessThanOrEqual(1);
  if (live > 0) expect(positions[live]).toBe(positions[live - 1]);
  if (live === 0) expect(positions[0]).toBe(begin);
  // Nothing follows the event that ended the access after it was granted.
  const removal = world.lines.find(
    (line) =>
      line.seq > one.grantedAt && accessEndReason(actorOf(one.member), toEnvelope(line).event) !== undefined,
  );
  expect(seen.at(-1) ?? 0).toBeLessThanOrEqual(removal?.seq ?? Infinity);
  if (one.error !== undefined) return checkEnd(one, seen.at(-1) ?? begin, world, removal);
  if (one.cut) return;
  // A reader that reads and has not ended has access, is live, and has received everything.
  expect(one.over).toBe(false);
  expect(removal).toBeUndefined();
  expect(live).toBeGreaterThanOrEqual(0);
  expect(positions.at(-1)).toBe(world.lines.length);
}

/** Checks that the stream ended for a valid reason. */
function checkEnd(one: Reader, reached: number, world: World, removal: LogLine | undefined): void {
  if (!(one.error instanceof DomainError)) throw one.error;
  const { code, details } = one.error;
  const last = one.items.at(-1);
  const ended = last?.type === 'event' ? accessEndReason(actorOf(one.member), last.event) : undefined;
  if (details.reason === 'KICKED') expect(ended).toBe('KICKED');
  // The event of the deletion on this topic was committed with it, and is delivered before the end unless it was trimmed.
  else if (details.reason === 'ACCOUNT_DELETED' && (removal?.seq ?? 0) > world.trimmed)
    expect(positionOf(last)).toBe(removal?.seq);
  else if (details.reason !== undefined) expect([ended, one.session.signal.reason]).toContain(details.reason);
  else if (code === 'CURSOR_EXPIRED')
    expect(parseCursor(EPOCH, TOPIC, details.oldest ?? '')).toBeGreaterThan(reached);
  else expect(code).toBe('FORBIDDEN');
}

test(`${HISTORIES} random histories of commits, deliveries, readers and removals keep the guarantees of a stream`, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      steps,
      fates,
      fc.boolean(),
      async (scheduler, history, all, lossless) => {
        const fate = all.map((one) => (lossless && one === 'lost' ? 'delivered' : one))[Symbol.iterator]();
        await run(scheduler, history, fate, lossless);
      },
    ),
    { numRuns: HISTORIES },
  );
}, 300_000);
