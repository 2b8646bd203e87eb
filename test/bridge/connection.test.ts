import { afterEach, beforeEach, expect, test } from 'vitest';
import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import type { ActorView, DomainEvent } from '../../src/events/event.ts';
import { loadClient } from '../clients/load.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { quietPeriod, stagger, waitUntil } from '../harness/waiting.ts';
import { fakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// The life of a connection, on fakes: the test decides what is late.

let fake: FakeBridge;

beforeEach(async () => {
  fake = await fakeBridge();
});

afterEach(async () => {
  await fake[Symbol.asyncDispose]();
});

function sample<Type extends DomainEvent['type']>(type: Type) {
  const [first] = EVENT_SAMPLES[type];
  if (first === undefined) throw new Error(`There is no sample of ${type}.`);
  return first.fact;
}

const sent = (text: string, conversationId = 12): DomainEvent => {
  const fact = sample('message.sent');
  const id = conversationId as typeof fact.message.conversationId;
  return { ...fact, message: { ...fact.message, text, conversationId: id } };
};
const kick = (userId: number): DomainEvent => {
  const fact = sample('participant.kicked');
  return { ...fact, user: { ...fact.user, id: userId as typeof fact.user.id } };
};
const contentOf = (packet: string) => /"content":"([^"]*)"/.exec(packet)?.[1];
const talk = { conversation_id: 12 };
const joined = '42["success","Vous avez rejoins la conversation : conversation_12"]';

async function login(token: string): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token });
  return client;
}

async function inRoom(token: string): Promise<PacketSocket> {
  const client = await login(token);
  await client.request('join_conversation', talk);
  return client;
}

/** An operation that answers when the test says so. */
function late(name: string) {
  const begun = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<{ data: unknown } | { code: 'NOT_FOUND' }>();
  fake.operations[name] = () => {
    begun.resolve();
    return answer.promise;
  };
  return { begun: begun.promise, answer: answer.resolve };
}

/** Waits for something that nothing announces. */
test('a room frame is held until the reply to the event in flight; other clients are not delayed', async () => {
  await using busy = await inRoom('user:7');
  await using idle = await inRoom('user:8');
  const message = late('LegacyMessage');
  busy.emit('message', talk);
  await message.begun;
  fake.publish(sent('first'));
  fake.publish(sent('second'));
  expect(contentOf(await idle.next())).toBe('first');
  expect(contentOf(await idle.next())).toBe('second');
  expect(busy.pending()).toEqual([]);
  message.answer({ data: { sendMessage: { message: { legacyId: 40 }, media: [] } } });
  expect(await busy.next()).toBe('42["success",{"received":true,"message_id":40}]');
  expect(contentOf(await busy.next())).toBe('first');
  expect(contentOf(await busy.next())).toBe('second');
});

test('held frames and later frames stay in order', async () => {
  await using client = await inRoom('user:7');
  const message = late('LegacyMessage');
  client.emit('message', talk);
  await message.begun;
  for (let n = 0; n < 50; n += 1) fake.publish(sent(`${n}`));
  message.answer({ code: 'NOT_FOUND' });
  await client.next('42["error"');
  for (let n = 50; n < 100; n += 1) fake.publish(sent(`${n}`));
  const heard = [];
  for (let n = 0; n < 100; n += 1) heard.push(contentOf(await client.next()));
  expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`));
});

test('an event between the permission check and the join is delivered after the reply', async () => {
  await using client = await login('user:7');
  fake.publish(sent('before'));
  const cursor = fake.cursor('conversation:12');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(sent('meanwhile'));
  join.answer({ data: { conversation: { eventCursor: cursor } } });
  expect(await client.next()).toBe(joined);
  expect(contentOf(await client.next())).toBe('meanwhile');
});

test('an event before the permission check is not delivered', async () => {
  await using client = await login('user:7');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(sent('known'));
  join.answer({ data: { conversation: { eventCursor: fake.cursor('conversation:12') } } });
  expect(await client.next()).toBe(joined);
  fake.publish(sent('new'));
  expect(contentOf(await client.next())).toBe('new');
});

test('a kick during the permission check refuses the join', async () => {
  await using client = await login('user:7');
  const cursor = fake.cursor('conversation:12');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(kick(7));
  fake.publish(sent('secret'));
  join.answer({ data: { conversation: { eventCursor: cursor } } });
  expect(await client.next()).toBe('42["error","Vous ne faite pas partie de cette conversation"]');
  fake.publish(sent('secret'));
  expect(await client.request('unknown')).toEqual([]);
  expect(fake.followers('conversation:12')).toBe(0);
});

test('a kick before the permission check, followed by a new invitation, does not refuse the join', async () => {
  await using client = await login('user:7');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(kick(7));
  join.answer({ data: { conversation: { eventCursor: fake.cursor('conversation:12') } } });
  expect(await client.next()).toBe(joined);
  fake.publish(sent('back'));
  expect(contentOf(await client.next())).toBe('back');
});

test('a client whose join is refused receives no frames of the room', async () => {
  await using client = await login('user:9');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(sent('secret'));
  fake.whisper({ type: 'typing', topic: 'conversation:12', actor: ann, isTyping: true });
  join.answer({ code: 'NOT_FOUND' });
  expect(await client.next()).toBe('42["error","Vous ne faite pas partie de cette conversation"]');
  expect(await client.request('unknown')).toEqual([]);
});

test('a kicked client receives the kick and nothing after it', async () => {
  await using victim = await inRoom('user:7');
  await using other = await inRoom('user:8');
  fake.publish(sent('before'));
  fake.publish(kick(7));
  fake.publish(sent('after'));
  expect(contentOf(await victim.next())).toBe('before');
  expect(await victim.next()).toContain('["conversation",{"event":"kick"');
  expect(await victim.request('unknown')).toEqual([]);
  await other.next();
  await other.next('42["conversation"');
  expect(contentOf(await other.next())).toBe('after');
});

test('a kick while an event is in flight is delivered after its reply', async () => {
  await using victim = await inRoom('user:7');
  const writing = late('LegacyWriting');
  victim.emit('writing', { ...talk, is_writing: true });
  await writing.begun;
  fake.publish(kick(7));
  fake.publish(sent('secret'));
  writing.answer({ code: 'NOT_FOUND' });
  expect(await victim.next()).toContain('error');
  expect(await victim.next()).toContain('"event":"kick"');
  expect(await victim.request('unknown')).toEqual([]);
});

test('a room is followed once, and only while it has members', async () => {
  await using a = await inRoom('user:7');
  await using b = await inRoom('user:8');
  await b.request('join_conversation', talk);
  expect(fake.followers('conversation:12')).toBe(1);
  await a.request('leave_conversation', talk);
  expect(fake.followers('conversation:12')).toBe(1);
  b.socket.close();
  await waitUntil(() => fake.followers('conversation:12') === 0);
});

const ann: ActorView = (() => {
  const fact = sample('message.sent');
  return fact.author;
})();

const signal = (legacyLease: number, content: unknown) =>
  fake.whisper({ type: 'signal', topic: 'user:7', sender: ann, content, legacyLease });

test('a signal goes to the connection whose lease it names', async () => {
  await using older = await login('user:7');
  await using newer = await login('user:7');
  signal(2, 'for the newer');
  signal(1, 'for the older');
  expect(await newer.next('42["webrtc_forward"')).toContain('for the newer');
  expect(await older.next('42["webrtc_forward"')).toContain('for the older');
});

test('a signal before the reply to authenticate is sent after it', async () => {
  await using client = await openPacketSocket(fake.url);
  client.emit('authenticate', { token: 'user:7' });
  await waitUntil(() => fake.leases.size === 1);
  signal(1, 'early');
  expect(await client.next()).toBe('42["success","User authenticated"]');
  expect(await client.next()).toContain('early');
});

test('LEGACY_FORWARD_CHANNELS determines the channels of signals, for every client', async () => {
  await using other = await fakeBridge({}, { LEGACY_FORWARD_CHANNELS: ['webrtc_config', 'webrtc_forward'] });
  await using client = await openPacketSocket(other.url, 'none');
  await client.request('authenticate', { token: 'user:7' });
  other.whisper({ type: 'signal', topic: 'user:7', sender: ann, content: {}, legacyLease: 1 });
  expect(await client.next()).toContain('42["webrtc_config"');
  expect(await client.next()).toContain('42["webrtc_forward"');
});

test('frames for an account are sent to its newest connection on any node', async () => {
  await using older = await login('user:8');
  await using newer = await login('user:8');
  fake.publish(sample('circle.invited'));
  expect(await newer.next()).toBe(
    '42["circle_invite",{"event":"invite","circle_id":3,"circle_invite_id":5}]',
  );
  fake.newest = 99;
  fake.publish(sample('conversation.invited'));
  fake.newest = undefined;
  newer.socket.close();
  await waitUntil(() => fake.leases.size === 1);
  fake.publish(sample('conversation.promoted'));
  expect(await older.next()).toBe('42["conversation",{"event":"promoted","conversation_id":12}]');
  expect(older.pending()).toEqual([]);
});

test('frames for an account are delivered after a database outage, in order', async () => {
  await using client = await login('user:8');
  fake.outages = 2;
  fake.publish(sample('circle.invited'));
  fake.publish(sample('conversation.promoted'));
  expect(await client.next()).toContain('42["circle_invite"');
  expect(await client.next()).toContain('42["conversation",{"event":"promoted"');
});

test('a second login with the same account keeps the rooms and becomes the newest connection', async () => {
  await using client = await inRoom('user:7');
  expect(await client.request('authenticate', { token: 'user:7#second' })).toEqual([
    '42["success","User authenticated"]',
  ]);
  expect([...fake.leases.keys()]).toEqual([2]);
  fake.endSession('user:7', 'LOGGED_OUT');
  fake.publish(sent('still here'));
  expect(contentOf(await client.next())).toBe('still here');
});

test('a login as another account leaves the former account’s rooms', async () => {
  await using client = await inRoom('user:7');
  expect(await client.request('authenticate', { token: 'device:4' })).toEqual([
    '42["success","User authenticated"]',
  ]);
  expect([...fake.leases.values()]).toEqual([{ kind: 'device', id: 4 }]);
  expect(fake.followers('conversation:12')).toBe(0);
  expect(fake.followers('user:7')).toBe(0);
});

test('a failed second login changes nothing', async () => {
  await using client = await inRoom('user:7');
  expect(await client.request('authenticate', { token: 'nonsense' })).toEqual([
    '42["error","User not found"]',
  ]);
  expect(await client.request('authenticate', {})).toEqual(['42["error","Json web token introuvable"]']);
  fake.publish(sent('still here'));
  expect(contentOf(await client.next())).toBe('still here');
  expect(fake.leases.size).toBe(1);
});

test.for(['LOGGED_OUT', 'TOKEN_EXPIRED'] as const)(
  'a session that ends with %s sends one error and drops queued events',
  async (reason) => {
    await using client = await inRoom('user:7');
    const message = late('LegacyMessage');
    let writings = 0;
    fake.operations['LegacyWriting'] = () => {
      writings += 1;
      return { data: {} };
    };
    client.emit('message', talk);
    client.emit('writing', { ...talk, is_writing: true });
    await message.begun;
    fake.publish(sent('held'));
    fake.endSession('user:7', reason);
    expect(await client.next()).toBe('42["error","User not found"]');
    expect(await client.next()).toBe('41');
    await client.waitForClose();
    message.answer({ code: 'NOT_FOUND' });
    await waitUntil(() => fake.leases.size === 0);
    expect(client.pending()).toEqual([]);
    expect(writings).toBe(0);
    expect(fake.ends).toEqual([reason]);
  },
);

test('a deleted account receives the held frames of its rooms, and none of a room that it was joining', async () => {
  await using client = await inRoom('user:7');
  const join = late('LegacyConversation');
  client.emit('join_conversation', { conversation_id: 13 });
  await join.begun;
  fake.publish(sent('held'));
  fake.publish(sent('of the other room', 13));
  fake.endSession('user:7', 'ACCOUNT_DELETED');
  expect(contentOf(await client.next())).toBe('held');
  expect(await client.next()).toBe('42["error","User not found"]');
  expect(await client.next()).toBe('41');
  join.answer({ code: 'NOT_FOUND' });
  await client.waitForClose();
  expect(client.pending()).toEqual([]);
});

test('a client that is kicked while it joins again receives the kick', async () => {
  await using client = await inRoom('user:7');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(kick(7));
  fake.publish(sent('later'));
  join.answer({ code: 'NOT_FOUND' });
  await client.next('42["error"');
  expect(await client.next()).toContain('"event":"kick"');
  expect(await client.request('bogus', talk)).toEqual([]);
});

test('frames held before a kick are delivered to a client that is readmitted while it joins', async () => {
  await using client = await inRoom('user:7');
  const join = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await join.begun;
  fake.publish(sent('owed'));
  fake.publish(kick(7));
  fake.publish(sent('secret'));
  join.answer({ data: { conversation: { eventCursor: fake.cursor('conversation:12') } } });
  expect(await client.next()).toBe(joined);
  expect(contentOf(await client.next())).toBe('owed');
  expect(await client.next()).toContain('"event":"kick"');
  fake.publish(sent('new'));
  expect(contentOf(await client.next())).toBe('new');
});

test.for(['frame', 'packet', 'silence'])(
  'events sent before a close by %s still run, in order, before the cleanup',
  async (how) => {
    const ran: string[] = [];
    const first = late('LegacyMessage');
    fake.operations['LegacyForward'] = ({ content }) => {
      ran.push(String((content as { message: string }).message));
      return { data: {} };
    };
    await using client = await openPacketSocket(fake.url);
    client.emit('authenticate', { token: 'user:7' });
    client.emit('message', talk);
    client.emit('webrtc_forward', { user_id: 8, message: 'QUITTING' });
    client.emit('webrtc_forward', { user_id: 8, message: 'LAST' });
    if (how === 'packet') client.send('41');
    if (how === 'silence') client.socket.terminate();
    else client.socket.close();
    await first.begun;
    await waitUntil(() => fake.bridge.connections()[Symbol.iterator]().next().done === false);
    expect(fake.leases.size).toBe(1);
    first.answer({ code: 'NOT_FOUND' });
    await waitUntil(() => fake.leases.size === 0);
    expect(ran).toEqual(['QUITTING', 'LAST']);
    expect([...fake.bridge.connections()]).toEqual([]);
  },
);

test('a session that ends while events of a closed connection run releases everything', async () => {
  await using client = await openPacketSocket(fake.url);
  const message = late('LegacyMessage');
  client.emit('authenticate', { token: 'user:7' });
  client.emit('message', talk);
  await message.begun;
  client.socket.close();
  await client.waitForClose();
  await quietPeriod(20);
  fake.endSession('user:7', 'LOGGED_OUT');
  message.answer({ code: 'NOT_FOUND' });
  await waitUntil(() => [...fake.bridge.connections()].length === 0);
  expect(fake.leases.size).toBe(0);
});

test('events in the same polling request as the close still run', async () => {
  const ran = Promise.withResolvers<unknown>();
  fake.operations['LegacyForward'] = ({ content }) => {
    ran.resolve(content);
    return { data: {} };
  };
  const url = `${fake.url}/socket.io/?EIO=3&transport=polling&b64=1`;
  const sid = /"sid":"([^"]+)"/.exec(await (await fetch(url)).text())?.[1];
  const packets = ['42["authenticate",{"token":"user:7"}]', '42["webrtc_forward",{"user_id":8}]', '1'];
  await fetch(`${url}&sid=${sid}`, {
    method: 'POST',
    body: packets.map((packet) => `${packet.length}:${packet}`).join(''),
    headers: { 'content-type': 'text/plain' },
  });
  expect(await ran.promise).toEqual({ user_id: 8 });
  await waitUntil(() => fake.leases.size === 0);
});

test('a socket that disconnects and reconnects on the same transport leaves no state behind', async () => {
  await using client = await openPacketSocket(fake.url, 4);
  const warnings: Error[] = [];
  const warned = (warning: Error) => void warnings.push(warning);
  process.on('warning', warned);
  for (let round = 0; round < 20; round += 1) {
    const success = '42["success","User authenticated"]';
    expect(await client.request('authenticate', { token: 'user:7' })).toEqual([success]);
    client.send('41');
    await waitUntil(() => fake.leases.size === 0);
    client.send('40');
    await client.next('40');
  }
  process.off('warning', warned);
  expect(warnings).toEqual([]);
});

test('a disconnect sent as an event closes the socket after earlier events', async () => {
  await using client = await inRoom('user:7');
  client.emit('writing', { ...talk, is_writing: true });
  client.send('421["disconnect"]');
  client.emit('leave_conversation', talk);
  expect(await client.next()).toBe('42["success","Writing sent"]');
  expect(await client.next()).toBe('431[]');
  expect(await client.next()).toBe('41');
  await waitUntil(() => fake.leases.size === 0);
  expect(client.pending()).toEqual([]);
});

test.for(['1.3.6', '1.7.4', '2.5.0', '4.8.4'] as const)(
  'events that client %s sends in one tick on connect are replied to in order',
  async (version) => {
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']] as const) {
      const socket = loadClient(version)(fake.url, { transports, forceNew: true, reconnection: false });
      const heard: unknown[] = [];
      const done = Promise.withResolvers<void>();
      socket.on('success', (payload) => {
        heard.push(payload);
        if (heard.length === 8) done.resolve();
      });
      socket.on('error', done.reject);
      let id = 0;
      fake.operations['LegacyMessage'] = async () => {
        id += 1;
        await stagger(5 - id);
        return { data: { sendMessage: { message: { legacyId: id }, media: [] } } };
      };
      socket.on('connect', () => {
        socket.emit('authenticate', { token: 'user:7' });
        socket.emit('join_circle', { circle_id: 3 });
        socket.emit('join_conversation', talk);
        for (let n = 0; n < 5; n += 1) socket.emit('message', talk);
      });
      await done.promise;
      expect(heard).toEqual([
        'User authenticated',
        'Vous avez rejoins le cercle : circle_3',
        'Vous avez rejoins la conversation : conversation_12',
        ...[1, 2, 3, 4, 5].map((message_id) => ({ received: true, message_id })),
      ]);
      socket.close();
    }
  },
);

test('an operation that throws gets an error reply and affects no other client', async () => {
  await using client = await inRoom('user:7');
  fake.operations['LegacyMessage'] = () => Promise.reject(new Error('broken'));
  expect(await client.request('message', talk)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ data: null });
  expect(await client.request('message', talk)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ code: 'UNAVAILABLE' });
  expect(await client.request('message', talk)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ code: 'RATE_LIMITED' });
  expect(await client.request('message', talk)).toEqual(['42["error","Trop de requetes"]']);
  delete fake.operations['LegacyMessage'];
  expect(await client.request('message', talk)).toEqual(['42["success",{"received":true,"message_id":1}]']);
});

test('malformed packets close at most their own connection, in both protocols', async () => {
  await using witness = await inRoom('user:8');
  const packets = [
    '',
    '4',
    '49',
    '42[]',
    '42{}',
    '42[null]',
    '42[{}]',
    '44',
    '45',
    '459999999-["x"]',
    '451-["x",{"_placeholder":true,"num":9}]',
  ];
  const others = [
    'hello',
    '9',
    '1',
    '2',
    '3',
    '5',
    '6',
    'b4',
    '40',
    '40/other',
    '43',
    '430[]',
    '43999[1]',
    '42999999999999999999["x"]',
  ];
  const names = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'error',
    'connect_error',
    'disconnecting',
  ];
  const deep = `42["message",${'['.repeat(5_000)}${']'.repeat(5_000)}]`;
  const events = names.flatMap((name) => [`42["${name}"]`, `427["${name}",{"a":1}]`, `42["${name}",null]`]);
  for (const protocol of [3, 4] as const) {
    for (const packet of [...packets, ...others, ...events, deep]) {
      await using client = await openPacketSocket(fake.url, protocol);
      client.send(packet);
      client.emit('authenticate', { token: 'user:7' });
      const ended = await Promise.race([client.next('42["success"').catch(() => ''), client.waitForClose()]);
      expect(`${packet.slice(0, 50)} ${ended}`).not.toBe(`${packet.slice(0, 50)} `);
    }
    const socket = await openPacketSocket(fake.url, protocol);
    socket.socket.send(Buffer.from([4, 1, 2, 3]));
    await socket.waitForClose();
  }
  fake.publish(sent('all is well'));
  expect(contentOf(await witness.next())).toBe('all is well');
});

test('a page of another origin is refused on every transport', async () => {
  const headers = { origin: 'https://evil.example' };
  const polling = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`, { headers });
  expect(polling.status).toBe(403);
  expect(polling.headers.get('access-control-allow-origin')).toBeNull();
  const jsonp = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling&j=0`, { headers });
  expect(jsonp.status).toBe(403);
  const good = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`, {
    headers: { origin: 'https://good.example' },
  });
  expect(good.headers.get('access-control-allow-origin')).toBe('https://good.example');
  expect(good.headers.get('access-control-allow-credentials')).toBe('true');
});

test.for([
  [3, 1001],
  [4, 1012],
] as const)(
  'a shutdown replies to events in flight and closes protocol %i with %i',
  async ([protocol, code]) => {
    await using client = await openPacketSocket(fake.url, protocol);
    await client.request('authenticate', { token: 'user:7' });
    const message = late('LegacyMessage');
    client.emit('message', talk);
    client.emit('message', talk);
    await message.begun;
    const closing = fake.bridge.close();
    message.answer({ data: { sendMessage: { message: { legacyId: 40 }, media: [] } } });
    expect(await client.next()).toBe('42["success",{"received":true,"message_id":40}]');
    expect(await client.waitForClose()).toBe(code);
    await closing;
    expect(fake.leases.size).toBe(0);
    expect(fake.ends).toEqual(['DRAINING']);
    expect(client.pending()).toEqual([]);
    expect((await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`)).status).toBe(403);
  },
);

test('a client that may have missed events of a room is disconnected', async () => {
  await using client = await inRoom('user:7');
  fake.trim('conversation:12');
  await client.waitForClose();
  expect(fake.ends).toEqual(['SLOW']);
});

test('a client that may have missed events of a room it is joining is disconnected', async () => {
  await using client = await login('user:7');
  const permission = late('LegacyConversation');
  client.emit('join_conversation', talk);
  await permission.begun;
  fake.trim('conversation:12');
  await client.waitForClose();
  permission.answer({ code: 'NOT_FOUND' });
  expect(fake.ends).toEqual(['SLOW']);
});
