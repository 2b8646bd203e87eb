import { expect, test } from 'vitest';
import { createEventLog } from '../../src/db/event-log.ts';
import type { EventLog } from '../../src/db/event-log.ts';
import { openEphemeralStream } from '../../src/events/ephemeral-stream.ts';
import { createTails } from '../../src/events/tail.ts';
import { createLogger } from '../../src/log.ts';
import {
  cursorAt,
  createParticipantDeleted,
  createNode,
  openTopic,
  READER,
  emitEvents,
  readNumbers,
  createTestCore,
  TOPIC,
  createTyping,
  keepNewest,
} from '../harness/event-core.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import { range } from '../harness/numbers.ts';

const createOutageError = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

/** Creates a node whose reads of the log can be made to fail as during an outage. */
async function createTestNode() {
  const core = await createTestCore();
  const log = createEventLog(core.db);
  const state = { isAvailable: true, failed: 0 };
  const readAfter: EventLog['readAfter'] = (...args) => {
    if (state.isAvailable) return log.readAfter(...args);
    state.failed += 1;
    return Promise.reject(createOutageError());
  };
  const tails = createTails({ ...core, eventLog: { ...log, readAfter }, log: createLogger('silent') });
  return { ...core, tails, state };
}

test('a reader waits for a log that cannot be read, and then receives each event once and in order', async () => {
  const core = await createTestNode();
  await emitEvents(core, ...range(1, 250));
  const stream = await openTopic(core, { after: cursorAt(core, 0) });
  expect(await readNumbers(stream, 50)).toEqual(range(1, 50));
  core.state.isAvailable = false;
  const remaining = readNumbers(stream, 201);
  await expect.poll(() => core.state.failed).toBeGreaterThan(1);
  core.state.isAvailable = true;
  expect(await remaining).toEqual([...range(51, 250), 'live']);
});

test('a reader that is closed while it waits for the log ends immediately', async () => {
  const core = await createTestNode();
  await emitEvents(core, 1);
  const stream = await openTopic(core, { after: cursorAt(core, 0) });
  core.state.isAvailable = false;
  const next = stream.next();
  await expect.poll(() => core.state.failed).toBeGreaterThan(0);
  await stream.return();
  const { failed } = core.state;
  expect(await next).toEqual({ done: true, value: undefined });
  expect(core.state.failed).toBe(failed);
  expect([...core.bus.topics()]).toEqual([]);
});

test('a session that ends while its reader waits for the log ends the stream immediately', async () => {
  const core = await createTestNode();
  await emitEvents(core, 1);
  const controller = new AbortController();
  const stream = await openTopic(core, { after: cursorAt(core, 0), signal: controller.signal });
  core.state.isAvailable = false;
  const next = stream.next();
  await expect.poll(() => core.state.failed).toBeGreaterThan(0);
  controller.abort('LOGGED_OUT');
  await expect(next).rejects.toThrow('LOGGED_OUT');
});

test('a stream whose account is deleted during an outage ends after the event of the deletion', async () => {
  const core = await createTestNode();
  const controller = new AbortController();
  const stream = await openTopic(core, { signal: controller.signal });
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  // This node has not received the notice.
  const otherNode = createNode(core);
  await emitEvents(otherNode, 1);
  await transact(otherNode, async (unit) => unit.emit(createParticipantDeleted(7)));
  core.state.isAvailable = false;
  controller.abort('ACCOUNT_DELETED');
  const last = readNumbers(stream, 2);
  await expect.poll(() => core.state.failed).toBeGreaterThan(0);
  core.state.isAvailable = true;
  expect(await last).toEqual([1, Number.NaN]);
  await expect(stream.next()).rejects.toThrow('ACCOUNT_DELETED');
});

test('an ephemeral stream delivers nothing while its authorisation cannot be checked, and resumes afterwards', async () => {
  const core = await createTestNode();
  const state = { isAvailable: true, checks: 0 };
  const stream = await openEphemeralStream(core, {
    topic: TOPIC,
    actor: READER,
    async authorize() {
      state.checks += 1;
      if (!state.isAvailable) throw createOutageError();
    },
    pick: (ephemeral) => (ephemeral.type === 'typing' ? ephemeral.isTyping : undefined),
    key: () => null,
  });
  state.isAvailable = false;
  // Trimmed before this node has read it: the event may have ended the reader's access.
  await transact({ ...core, bus: { ...core.bus, publish: () => undefined } }, async (unit) =>
    unit.emit(createParticipantDeleted(8)),
  );
  await keepNewest(core.db, 0);
  await core.tails.compare();
  await expect.poll(() => state.checks).toBeGreaterThan(2);
  core.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
  let isDelivered = false;
  const next = stream.next().finally(() => (isDelivered = true));
  const { checks } = state;
  await expect.poll(() => state.checks).toBeGreaterThan(checks);
  expect(isDelivered).toBe(false);
  state.isAvailable = true;
  expect(await next).toEqual({ done: false, value: true });
});
