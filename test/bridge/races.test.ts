import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { parseCursor } from '../../src/events/cursor.ts';
import type { DomainEvent, Topic } from '../../src/events/event.ts';
import { loadClient } from '../clients/load.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import { fakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createGates, history, listen, requireWhole, settle } from './histories.ts';
import type { Permission } from './histories.ts';

// Random histories of one connection on fakes: what a client sends, what answers and what happens come in any order.
// Received frames are compared with those that are allowed. A failure prints the seed that reproduces it.

const HISTORIES = 110;
const ROOM = 12;
const TOPIC: Topic = `conversation:${ROOM}`;
const talk = { conversation_id: ROOM };

let fake: FakeBridge;
let users = 0;

beforeEach(async () => {
  // What is sent without a login is refused immediately: test/bridge/login-hold.test.ts holds it.
  fake = await fakeBridge({ holdMs: 0 });
});

afterEach(async () => {
  await fake[Symbol.asyncDispose]();
});

function sample<Type extends DomainEvent['type']>(type: Type) {
  const [first] = EVENT_SAMPLES[type];
  if (first === undefined) throw new Error(`There is no sample of ${type}.`);
  return first.fact;
}

/** Sends a message to the room, identified by its position. Returns the position. */
function speak(): number {
  const fact = sample('message.sent');
  const position = head() + 1;
  fake.publish({ ...fact, message: { ...fact.message, text: `at ${position}` } });
  return position;
}

function kick(userId: number): number {
  const fact = sample('participant.kicked');
  fake.publish({ ...fact, user: { ...fact.user, id: userId as typeof fact.user.id } });
  return head();
}

/** Head of the room's log. */
const head = () => parseCursor('test', TOPIC, fake.cursor(TOPIC));

test('a room is received without gaps from the join to the leave or kick, and not otherwise', async () => {
  const steps = history('join', 'join', 'leave', 'speak', 'speak', 'answer', 'answer', 'kick', 'invite');
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (taken, readsLate) => {
      const gates = createGates();
      const user = (users += 1);
      await using client = await openPacketSocket(fake.url);
      await client.request('authenticate', { token: `user:${user}` });
      let member = true;
      const secrets = new Set<number>();
      const permissions: Permission[] = [];
      const kicks: number[] = [];
      fake.operations['LegacyConversation'] = async () => {
        if (readsLate) await gates.wait();
        const [eventCursor, position, granted] = [fake.cursor(TOPIC), head(), member];
        if (!readsLate) await gates.wait();
        permissions.push(granted ? position : 'none');
        if (!granted) return { code: 'NOT_FOUND' };
        return { data: { conversation: { eventCursor } } };
      };
      const heard = listen(client);
      for (const [step, settles] of taken) {
        if (step === 'join') client.emit('join_conversation', talk);
        if (step === 'leave') client.emit('leave_conversation', talk);
        if (step === 'answer') gates.next();
        if (step === 'kick' && member) {
          kicks.push(kick(user));
          member = false;
        }
        if (step === 'invite') member = true;
        if (step === 'speak') {
          const position = speak();
          if (!member) secrets.add(position);
        }
        if (settles > 0) await settle(fake, client);
      }
      gates.open();
      await client.request('unknown');
      requireWhole(heard, { permissions, kicks, secrets, end: head() });
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.followers(TOPIC) === 0);
    }),
    { numRuns: HISTORIES },
  );
});

const success = '42["success","User authenticated"]';
const gone = '42["error","User not found"]';

test('a login and the end of its session, in any order, leave no connection logged in', async () => {
  const steps = history('authenticate', 'go on', 'go on', 'go on', 'end', 'ask');
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom('LOGGED_OUT', 'TOKEN_EXPIRED'), async (taken, reason) => {
      const gates = createGates();
      fake.pace = gates.wait;
      const user = (users += 1);
      const token = `user:${user}`;
      await using client = await openPacketSocket(fake.url);
      const heard = listen(client);
      let logins = 0;
      for (const [step, settles] of [...taken, ['end', 1] as const]) {
        if (step === 'authenticate') {
          client.emit('authenticate', { token });
          logins += 1;
        }
        if (step === 'go on') gates.next();
        if (step === 'end') fake.endSession(token, reason);
        if (step === 'ask') client.emit('leave_circle', { circle_id: 1 });
        if (settles > 0) await settle(fake, client);
      }
      gates.open();
      const isOver = heard.includes('41');
      if (isOver) await client.waitForClose();
      else
        expect(await client.request('leave_circle', {})).toContain('42["error","Socket user introuvable"]');
      const said = heard.filter((packet) => packet === success || packet === gone);
      if (isOver) expect(said.slice(said.lastIndexOf(success))).toEqual([success, gone]);
      else expect(said).toEqual(Array.from({ length: logins }, () => gone));
      await waitUntil(() => fake.leases.size === 0 && fake.followers(`user:${user}`) === 0);
    }),
    { numRuns: HISTORIES },
  );
});

test.for(['41', 'close'])(
  'events sent before a close by %s run once, in order, before everything is released',
  async (how) => {
    const steps = history('forward', 'message', 'join', 'speak', 'answer');
    await fc.assert(
      fc.asyncProperty(steps, fc.nat({ max: 24 }), async (taken, closesAfter) => {
        const gates = createGates();
        const ran: unknown[] = [];
        const sent: unknown[] = [];
        let atOnce = 0;
        const operation = async (number: unknown) => {
          ran.push(number);
          atOnce += 1;
          await gates.wait();
          expect(atOnce).toBe(1);
          atOnce -= 1;
        };
        fake.operations['LegacyForward'] = async ({ content }) => {
          await operation((content as { n: unknown }).n);
          return { data: {} };
        };
        fake.operations['LegacyMessage'] = async ({ text }) => {
          await operation(Number(text));
          return { data: { sendMessage: { message: { legacyId: 1 }, media: [] } } };
        };
        await using client = await openPacketSocket(fake.url);
        client.emit('authenticate', { token: `user:${(users += 1)}` });
        let open = true;
        const leave = () => {
          if (how === '41') client.send('41');
          client.socket.close();
          open = false;
        };
        for (const [index, [step, settles]] of taken.entries()) {
          if (index === closesAfter) leave();
          if (step === 'answer') gates.next();
          if (step === 'speak') speak();
          if (open && step === 'join') client.emit('join_conversation', talk);
          if (open && (step === 'forward' || step === 'message')) {
            sent.push(index);
            if (step === 'forward') client.emit('webrtc_forward', { user_id: 1, n: index });
            else client.emit('message', { ...talk, text_message: String(index) });
          }
          if (settles > 0) await settle(fake, client);
        }
        if (open) leave();
        gates.open();
        await waitUntil(() => fake.leases.size === 0 && fake.followers(TOPIC) === 0 && fake.opened === 0);
        await waitUntil(() => [...fake.bridge.connections()].length === 0);
        expect(ran).toEqual(sent);
      }),
      { numRuns: HISTORIES },
    );
  },
);

test('a login as another account receives nothing of the former rooms after its success', async () => {
  const steps = history('speak', 'speak', 'go on', 'go on', 'switch', 'fail', 'rejoin');
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const gates = createGates();
      await using client = await openPacketSocket(fake.url);
      await client.request('authenticate', { token: `user:${(users += 1)}` });
      const heard = listen(client);
      await client.request('join_conversation', talk);
      fake.pace = gates.wait;
      const permissions = [head()];
      fake.operations['LegacyConversation'] = () => {
        permissions.push(head());
        return { data: { conversation: { eventCursor: fake.cursor(TOPIC) } } };
      };
      for (const [step, settles] of taken) {
        if (step === 'speak') speak();
        if (step === 'go on') gates.next();
        if (step === 'switch') client.emit('authenticate', { token: `user:${(users += 1)}` });
        if (step === 'fail') client.emit('authenticate', { token: 'nonsense' });
        if (step === 'rejoin') client.emit('join_conversation', talk);
        if (settles > 0) await settle(fake, client);
      }
      gates.open();
      await client.request('unknown');
      speak();
      await settle(fake, client);
      // A successful switch of accounts leaves the rooms; a failed one changes nothing.
      const asLeaving = heard
        .filter((packet) => packet !== gone)
        .map((packet) => (packet === success ? '42["success","Vous avez quitte"]' : packet));
      requireWhole(asLeaving, { permissions, kicks: [], secrets: new Set(), end: head() });
      expect(fake.leases.size).toBe(1);
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.followers(TOPIC) === 0);
      fake.pace = () => Promise.resolve();
      delete fake.operations['LegacyConversation'];
    }),
    { numRuns: HISTORIES },
  );
});

const clients = fc.constantFrom('1.3.6', '2.5.0', '4.8.4');
const both = ['polling', 'websocket'] as const;
const transports = fc.constantFrom<readonly ('polling' | 'websocket')[]>(
  ['polling'],
  ['websocket'],
  both,
  both,
);

test('each event gets one reply, in order, whatever its duration, also across an upgrade', async () => {
  const works = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 20 })), { minLength: 1, maxLength: 40 });
  let upgrades = 0;
  await fc.assert(
    fc.asyncProperty(works, clients, transports, async (requests, version, by) => {
      let atOnce = 0;
      fake.operations['LegacyMessage'] = async ({ text }) => {
        atOnce += 1;
        expect(atOnce).toBe(1);
        const n = Number(text);
        for (let turn = requests[n]?.[0] ?? 0; turn > 0; turn -= 1) await new Promise(setImmediate);
        atOnce -= 1;
        return { data: { sendMessage: { message: { legacyId: n + 1 }, media: [] } } };
      };
      const socket = loadClient(version)(fake.url, {
        transports: by,
        forceNew: true,
        reconnection: false,
      });
      const answers: unknown[] = [];
      const acknowledged: number[] = [];
      const ended = Promise.withResolvers<void>();
      socket.on('success', (payload) => answers.push((payload as { message_id?: number }).message_id));
      for (const event of ['error', 'disconnect']) socket.on(event, ended.reject);
      const connected = Promise.withResolvers<void>();
      socket.on('connect', () => connected.resolve());
      await connected.promise;
      const started = socket.io.engine.transport.name;
      socket.emit('authenticate', { token: `user:${(users += 1)}` });
      for (const [n, [, pause]] of requests.entries()) {
        socket.emit('message', { ...talk, text_message: String(n) }, () => {
          acknowledged.push(n);
          if (acknowledged.length === requests.length) ended.resolve();
        });
        for (let turn = pause; turn > 0; turn -= 1) await new Promise(setImmediate);
      }
      if (socket.io.engine.transport.name !== started) upgrades += 1;
      await ended.promise;
      socket.off('disconnect');
      socket.close();
      const numbers = requests.map((_, n) => n);
      expect(acknowledged).toEqual(numbers);
      expect(answers).toEqual([undefined, ...numbers.map((n) => n + 1)]);
      await waitUntil(() => fake.leases.size === 0);
    }),
    { numRuns: HISTORIES },
  );
  expect(upgrades).toBeGreaterThan(0);
});
