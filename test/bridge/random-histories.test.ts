import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseCursor } from '../../src/events/cursor.ts';
import type { Topic } from '../../src/events/event.ts';
import { loadClient } from '../clients/load.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createGate, expectGaplessDelivery, flushPackets, historyOf, recordPackets } from './histories.ts';
import type { Permission } from './histories.ts';
import { createKick, createMessageSent } from './sample-events.ts';

// Property-based tests with fast-check: random histories of one connection, with fake dependencies. Requests, results and
// events come in any order, and the received frames must be those that are allowed. A failure prints the seed that
// reproduces it.

const HISTORY_COUNT = 110;
const ROOM = 12;
const TOPIC: Topic = `conversation:${ROOM}`;
const conversationRef = { conversation_id: ROOM };

let fake: FakeBridge;
let lastUserId = 0;

beforeEach(async () => {
  // Events before a login are rejected immediately: test/bridge/pre-auth-queue.test.ts covers the queue.
  fake = await startFakeBridge({ preAuthTimeoutMs: 0 });
});

afterEach(async () => {
  await fake[Symbol.asyncDispose]();
});

/** Returns the head of the room's log. */
const readHead = () => parseCursor('test', TOPIC, fake.readCursor(TOPIC));

/** Publishes a message in the room, whose text is its position. Returns the position. */
function publishMessage(): number {
  const position = readHead() + 1;
  fake.publish(createMessageSent(`at ${position}`));
  return position;
}

/** Publishes the kick of a user from the room. Returns its position. */
function publishKick(kickedUserId: number): number {
  fake.publish(createKick(kickedUserId));
  return readHead();
}

test('a room is received without gaps from the join to the leave or kick, and not otherwise', async () => {
  const histories = historyOf(
    'join',
    'join',
    'leave',
    'publish',
    'publish',
    'complete',
    'complete',
    'kick',
    'invite',
  );
  await fc.assert(
    fc.asyncProperty(histories, fc.boolean(), async (steps, readsLate) => {
      const gate = createGate();
      const userId = (lastUserId += 1);
      await using client = await openPacketSocket(fake.url);
      await client.request('authenticate', { token: `user:${userId}` });
      let isMember = true;
      const forbidden = new Set<number>();
      const permissions: Permission[] = [];
      const kicks: number[] = [];
      fake.operations['LegacyConversation'] = async () => {
        if (readsLate) await gate.wait();
        const [eventCursor, position, isGranted] = [fake.readCursor(TOPIC), readHead(), isMember];
        if (!readsLate) await gate.wait();
        permissions.push(isGranted ? position : 'none');
        if (!isGranted) return { code: 'NOT_FOUND' };
        return { data: { conversation: { eventCursor } } };
      };
      const received = recordPackets(client);
      for (const [step, flushes] of steps) {
        if (step === 'join') client.emit('join_conversation', conversationRef);
        if (step === 'leave') client.emit('leave_conversation', conversationRef);
        if (step === 'complete') gate.releaseNext();
        if (step === 'kick' && isMember) {
          kicks.push(publishKick(userId));
          isMember = false;
        }
        if (step === 'invite') isMember = true;
        if (step === 'publish') {
          const position = publishMessage();
          if (!isMember) forbidden.add(position);
        }
        if (flushes > 0) await flushPackets(fake, client);
      }
      gate.open();
      await client.request('unknown');
      expectGaplessDelivery(received, { permissions, kicks, forbidden, head: readHead() });
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.countFollowers(TOPIC) === 0);
    }),
    { numRuns: HISTORY_COUNT },
  );
});

const authenticated = '42["success","User authenticated"]';
const userNotFound = '42["error","User not found"]';

test('a login and the end of its session, in any order, leave no connection logged in', async () => {
  const histories = historyOf('authenticate', 'continue', 'continue', 'continue', 'end session', 'request');
  await fc.assert(
    fc.asyncProperty(histories, fc.constantFrom('LOGGED_OUT', 'TOKEN_EXPIRED'), async (steps, reason) => {
      const gate = createGate();
      fake.beforeLoginStep = gate.wait;
      const userId = (lastUserId += 1);
      const token = `user:${userId}`;
      await using client = await openPacketSocket(fake.url);
      const received = recordPackets(client);
      let logins = 0;
      for (const [step, flushes] of [...steps, ['end session', 1] as const]) {
        if (step === 'authenticate') {
          client.emit('authenticate', { token });
          logins += 1;
        }
        if (step === 'continue') gate.releaseNext();
        if (step === 'end session') fake.endSession(token, reason);
        if (step === 'request') client.emit('leave_circle', { circle_id: 1 });
        if (flushes > 0) await flushPackets(fake, client);
      }
      gate.open();
      const isDisconnected = received.includes('41');
      if (isDisconnected) await client.waitForClose();
      else
        expect(await client.request('leave_circle', {})).toContain('42["error","Socket user introuvable"]');
      const replies = received.filter((packet) => packet === authenticated || packet === userNotFound);
      if (isDisconnected)
        expect(replies.slice(replies.lastIndexOf(authenticated))).toEqual([authenticated, userNotFound]);
      else expect(replies).toEqual(Array.from({ length: logins }, () => userNotFound));
      await waitUntil(() => fake.leases.size === 0 && fake.countFollowers(`user:${userId}`) === 0);
    }),
    { numRuns: HISTORY_COUNT },
  );
});

test.for(['41', 'close'])(
  'events sent before a close by %s run once, in order, before everything is released',
  async (closeBy) => {
    const histories = historyOf('forward', 'message', 'join', 'publish', 'complete');
    await fc.assert(
      fc.asyncProperty(histories, fc.nat({ max: 24 }), async (steps, closesAfter) => {
        const gate = createGate();
        const executedIndices: unknown[] = [];
        const sentIndices: unknown[] = [];
        let concurrency = 0;
        const runOperation = async (index: unknown) => {
          executedIndices.push(index);
          concurrency += 1;
          await gate.wait();
          expect(concurrency).toBe(1);
          concurrency -= 1;
        };
        fake.operations['LegacyForward'] = async ({ content }) => {
          await runOperation((content as { n: unknown }).n);
          return { data: {} };
        };
        fake.operations['LegacyMessage'] = async ({ text }) => {
          await runOperation(Number(text));
          return { data: { sendMessage: { message: { legacyId: 1 }, media: [] } } };
        };
        await using client = await openPacketSocket(fake.url);
        client.emit('authenticate', { token: `user:${(lastUserId += 1)}` });
        let isOpen = true;
        const close = () => {
          if (closeBy === '41') client.send('41');
          client.socket.close();
          isOpen = false;
        };
        for (const [index, [step, flushes]] of steps.entries()) {
          if (index === closesAfter) close();
          if (step === 'complete') gate.releaseNext();
          if (step === 'publish') publishMessage();
          if (isOpen && step === 'join') client.emit('join_conversation', conversationRef);
          if (isOpen && (step === 'forward' || step === 'message')) {
            sentIndices.push(index);
            if (step === 'forward') client.emit('webrtc_forward', { user_id: 1, n: index });
            else client.emit('message', { ...conversationRef, text_message: String(index) });
          }
          if (flushes > 0) await flushPackets(fake, client);
        }
        if (isOpen) close();
        gate.open();
        await waitUntil(
          () => fake.leases.size === 0 && fake.countFollowers(TOPIC) === 0 && fake.connectionCount === 0,
        );
        await waitUntil(() => [...fake.bridge.connections()].length === 0);
        expect(executedIndices).toEqual(sentIndices);
      }),
      { numRuns: HISTORY_COUNT },
    );
  },
);

test('a login as another account receives nothing of the former rooms after its success', async () => {
  const histories = historyOf(
    'publish',
    'publish',
    'continue',
    'continue',
    'switch account',
    'failed login',
    'rejoin',
  );
  await fc.assert(
    fc.asyncProperty(histories, async (steps) => {
      const gate = createGate();
      await using client = await openPacketSocket(fake.url);
      await client.request('authenticate', { token: `user:${(lastUserId += 1)}` });
      const received = recordPackets(client);
      await client.request('join_conversation', conversationRef);
      fake.beforeLoginStep = gate.wait;
      const permissions = [readHead()];
      fake.operations['LegacyConversation'] = () => {
        permissions.push(readHead());
        return { data: { conversation: { eventCursor: fake.readCursor(TOPIC) } } };
      };
      for (const [step, flushes] of steps) {
        if (step === 'publish') publishMessage();
        if (step === 'continue') gate.releaseNext();
        if (step === 'switch account') client.emit('authenticate', { token: `user:${(lastUserId += 1)}` });
        if (step === 'failed login') client.emit('authenticate', { token: 'nonsense' });
        if (step === 'rejoin') client.emit('join_conversation', conversationRef);
        if (flushes > 0) await flushPackets(fake, client);
      }
      gate.open();
      await client.request('unknown');
      publishMessage();
      await flushPackets(fake, client);
      // A successful switch of accounts leaves the rooms; a failed one changes nothing.
      const packets = received
        .filter((packet) => packet !== userNotFound)
        .map((packet) => (packet === authenticated ? '42["success","Vous avez quitte"]' : packet));
      expectGaplessDelivery(packets, { permissions, kicks: [], forbidden: new Set(), head: readHead() });
      expect(fake.leases.size).toBe(1);
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.countFollowers(TOPIC) === 0);
      fake.beforeLoginStep = () => Promise.resolve();
      delete fake.operations['LegacyConversation'];
    }),
    { numRuns: HISTORY_COUNT },
  );
});

const clientVersions = fc.constantFrom('1.3.6', '2.5.0', '4.8.4');
const upgrading = ['polling', 'websocket'] as const;
const transportLists = fc.constantFrom<readonly ('polling' | 'websocket')[]>(
  ['polling'],
  ['websocket'],
  upgrading,
  upgrading,
);

test('each event gets one reply, in order, whatever its duration, also across an upgrade', async () => {
  /** For each request, the turns of the event loop that it takes, and those before the next request. */
  const requestLists = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 20 })), {
    minLength: 1,
    maxLength: 40,
  });
  let upgrades = 0;
  await fc.assert(
    fc.asyncProperty(requestLists, clientVersions, transportLists, async (requests, version, transports) => {
      let concurrency = 0;
      fake.operations['LegacyMessage'] = async ({ text }) => {
        concurrency += 1;
        expect(concurrency).toBe(1);
        const n = Number(text);
        for (let turn = requests[n]?.[0] ?? 0; turn > 0; turn -= 1) await new Promise(setImmediate);
        concurrency -= 1;
        return { data: { sendMessage: { message: { legacyId: n + 1 }, media: [] } } };
      };
      const socket = loadClient(version)(fake.url, { transports, forceNew: true, reconnection: false });
      const messageIds: unknown[] = [];
      const acknowledgements: number[] = [];
      const completion = Promise.withResolvers<void>();
      socket.on('success', (payload) => messageIds.push((payload as { message_id?: number }).message_id));
      for (const event of ['error', 'disconnect']) socket.on(event, completion.reject);
      const connection = Promise.withResolvers<void>();
      socket.on('connect', () => connection.resolve());
      await connection.promise;
      const firstTransport = socket.io.engine.transport.name;
      socket.emit('authenticate', { token: `user:${(lastUserId += 1)}` });
      for (const [n, [, turnsAfter]] of requests.entries()) {
        socket.emit('message', { ...conversationRef, text_message: String(n) }, () => {
          acknowledgements.push(n);
          if (acknowledgements.length === requests.length) completion.resolve();
        });
        for (let turn = turnsAfter; turn > 0; turn -= 1) await new Promise(setImmediate);
      }
      if (socket.io.engine.transport.name !== firstTransport) upgrades += 1;
      await completion.promise;
      socket.off('disconnect');
      socket.close();
      const indices = requests.map((_, n) => n);
      expect(acknowledgements).toEqual(indices);
      expect(messageIds).toEqual([undefined, ...indices.map((n) => n + 1)]);
      await waitUntil(() => fake.leases.size === 0);
    }),
    { numRuns: HISTORY_COUNT },
  );
  expect(upgrades).toBeGreaterThan(0);
});
