import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import {
  castField,
  readMessageBubble,
  readTurnCredentials,
  readForward,
} from '../harness/android-decoder.ts';
import { startTestApp } from '../harness/app.ts';
import { isInt32, decodeEvent } from '../harness/legacy-types.ts';
import { ANDROID, connectMobileClient } from '../harness/mobile-clients.ts';
import type { MobileClient } from '../harness/mobile-clients.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketConnection } from '../harness/packet-connection.ts';

// What the Android app does, as far as its wire shows it: contract 8.1. Each screen has a socket of its own.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let circle: Entity;
let conversation: Entity;
let talk: { conversation_id: number };

beforeAll(async () => {
  app = await startTestApp({ env: { PRESENCE_GRACE_MS: '1500' } });
  ann = await app.createAccount({ email: 'ann@example.com' });
  bob = await app.createAccount({ email: 'bob@example.com' });
  circle = await createCircle(ann, bob);
  conversation = await createConversation(ann, circle, bob);
  talk = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

interface Options {
  readonly upgrades?: boolean;
  readonly circleId?: number;
}

/** The home screen, the contacts and the lists: authenticate is all. */
async function homeScreen(account: TestAccount, options?: Options): Promise<MobileClient> {
  const screen = await connectMobileClient(app.url, ANDROID, options);
  await screen.next('40');
  screen.emit('authenticate', { token: account.token });
  return screen;
}

/** Does not wait for replies: sends everything on connect. */
async function chatScreen(account: TestAccount, options: Options = {}): Promise<MobileClient> {
  const screen = await homeScreen(account, options);
  screen.emit('join_circle', { circle_id: options.circleId ?? circle.legacyId });
  screen.emit('join_conversation', talk);
  return screen;
}

async function callScreen(account: TestAccount, options?: Options): Promise<MobileClient> {
  const screen = await homeScreen(account, options);
  screen.emit('webrtc_credentials');
  return screen;
}

const success = (text: string) => `42["success",${JSON.stringify(text)}]`;
const error = (text: string) => `42["error",${JSON.stringify(text)}]`;
const AUTHENTICATED = success('User authenticated');
const joined = () => success(`Vous avez rejoins la conversation : conversation_${conversation.legacyId}`);

const forward = (screen: PacketConnection, to: TestAccount, message: unknown) =>
  screen.emit('webrtc_forward', { email: to.login, message });

async function linkIdOf(account: TestAccount): Promise<number> {
  const { conversation: found } = await account.graphql.run<{
    conversation: { participants: { nodes: { legacyId: number; user: { email: string } }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { participants { nodes { legacyId user { email } } } } }', {
    id: conversation.id,
  });
  const own = found.participants.nodes.find(({ user }) => user.email === account.login);
  if (own === undefined) throw new Error('Not a participant.');
  return own.legacyId;
}

test.for([true, false])(
  'the chat screen, upgrading %j: every event gets its reply in order',
  async (upgrades) => {
    await using chat = await chatScreen(ann, { upgrades });
    expect(await chat.next('42["success"')).toBe(AUTHENTICATED);
    expect(await chat.next('42["success"')).toBe(
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
    );
    expect(await chat.next('42["success"')).toBe(joined());
    await sendMessage(bob, conversation, 'Ça va ? 😀');
    expect(await readMessageBubble(chat)).toEqual({
      id: expect.any(Number),
      linkId: await linkIdOf(bob),
      medias: 0,
      content: 'Ça va ? 😀',
    });
  },
);

test.for([true, false])(
  'the chat screen without the extra for its circle, upgrading %j: the conversation is joined too',
  async (upgrades) => {
    await using chat = await chatScreen(ann, { upgrades, circleId: 0 });
    expect(await chat.next()).toBe(AUTHENTICATED);
    expect(await chat.next()).toBe(error("Vous n'appartenez pas a ce cercle"));
    expect(await chat.next()).toBe(joined());
  },
);

test('messages sent while the transport changes arrive once, in order, and are recognized as own by their link', async () => {
  await using chat = await chatScreen(ann, { circleId: 0 });
  const texts = Array.from({ length: 20 }, (_, n) => `été ${n}`);
  for (const text of texts.slice(0, 10)) chat.emit('message', { ...talk, text_message: text });
  await chat.waitForUpgrade();
  for (const text of texts.slice(10)) chat.emit('message', { ...talk, text_message: text });
  const own = await linkIdOf(ann);
  for (const text of texts) {
    expect(await chat.next('42["success",{')).toMatch(
      /^42\["success",\{"received":true,"message_id":\d+\}\]$/,
    );
    expect(await readMessageBubble(chat)).toMatchObject({ linkId: own, content: text });
  }
});

test('frames that the app cannot display lack the fields that would crash it', async () => {
  await using device = await createDevice(app, ann, circle);
  await using chat = await chatScreen(ann);
  await chat.next(joined());
  await ann.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    { id: conversation.id },
  );
  await sendMessage(device, conversation, 'from the kitchen');
  expect(await readMessageBubble(chat)).toBeUndefined();
  const { sendMessage: sent } = await sendMessage(bob, conversation, 'typo');
  expect(await readMessageBubble(chat)).toMatchObject({ content: 'typo' });
  const { id } = sent.message;
  await bob.graphql.run('mutation ($id: ID!) { updateMessage(messageId: $id, text: "fixed") { id } }', {
    id,
  });
  expect(await readMessageBubble(chat)).toBeUndefined();
  await bob.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', { id });
  expect(await readMessageBubble(chat)).toBeUndefined();
  chat.emit('message', { ...talk, text_message: null });
  expect(await readMessageBubble(chat)).toMatchObject({ content: '' });
});

test('a picture: the frames pending and done have the same shape, and the second allows a download', async () => {
  await using chat = await chatScreen(ann, { circleId: 0 });
  await chat.next(joined());
  chat.emit('message', { ...talk, files: ['test.png'] });
  const { payload } = decodeEvent(await chat.next('42["media"'));
  const list = castField<unknown[]>(payload as Record<string, unknown>, 'media_list', Array.isArray);
  const mediaId = castField<number>(list[0] as Record<string, unknown>, 'id', isInt32);
  const pending = await readMessageBubble(chat);
  expect(pending).toMatchObject({ medias: 1, content: '' });
  const body = Buffer.from(
    '--*****\r\nContent-Disposition: form-data; name="file";filename="/storage/emulated/0/test.png"\r\n\r\npicture\r\n--*****--\r\n',
  );
  const headers = { authorization: ann.token, 'content-type': 'multipart/form-data;boundary=*****' };
  const uploaded = await fetch(`${app.url}/media/upload/${mediaId}`, { method: 'POST', headers, body });
  expect(uploaded.status).toBe(200);
  expect(await readMessageBubble(chat)).toEqual(pending);
});

test('a change of screens, whether the former socket closes before or during the new login, does not change presence', async () => {
  const [cat, dan, eve] = await Promise.all(
    ['cat', 'dan', 'eve'].map((name) => app.createAccount({ email: `${name}@example.com` })),
  );
  if (cat === undefined || dan === undefined || eve === undefined) throw new Error('A user is missing.');
  const { legacyId } = await createCircle(cat, dan, eve);
  const told = (event: string, user: string) =>
    `42["circle",{"event":"${event}","user":"${user}@example.com","circle_id":${legacyId}}]`;
  await using mate = await openPacketSocket(app.url);
  await mate.request('authenticate', { token: dan.token });
  await mate.request('join_circle', { circle_id: legacyId });
  let screen = await homeScreen(cat);
  const closings: Promise<void>[] = [];
  for (let n = 0; n < 6; n += 1) {
    if (n % 3 === 0) await screen.waitForUpgrade();
    const old = screen;
    if (n % 2 === 0) closings.push(old.close());
    screen = await (n % 2 === 0 ? homeScreen(cat) : callScreen(cat));
    if (n % 2 === 1) closings.push(old.close());
    await screen.next(AUTHENTICATED);
  }
  await Promise.all(closings);
  // She goes after all of them: once that is told, so would be what they had caused.
  const witness = await openPacketSocket(app.url);
  await witness.request('authenticate', { token: eve.token });
  witness.socket.close();
  const heard: string[] = [];
  while (heard.at(-1) !== told('disconnect', 'eve')) heard.push(await mate.next('42["circle"'));
  expect(heard).toEqual([told('connect', 'cat'), told('connect', 'eve'), told('disconnect', 'eve')]);
  await screen.close();
  expect(await mate.next('42["circle"')).toBe(told('disconnect', 'cat'));
});

test.for([true, false])('a call, upgrading %j: from CALLING to PONG', async (upgrades) => {
  await using home = await homeScreen(bob, { upgrades });
  await home.next(AUTHENTICATED);
  await using caller = await callScreen(ann, { upgrades });
  expect(await caller.next()).toBe(AUTHENTICATED);
  const credentials = await readTurnCredentials(caller);
  expect(credentials?.username).toMatch(new RegExp(`^\\d+(\\.\\d+)?:${ann.legacyId}False$`));

  forward(caller, bob, 'CALLING');
  expect(await readForward(home)).toEqual({ from: ann.legacyId, message: 'CALLING' });
  // The documentation has it there too: an object, in which the app finds no credentials.
  expect(await readTurnCredentials(home)).toBeUndefined();
  await home.close();
  await using callee = await callScreen(bob, { upgrades });
  expect(await readTurnCredentials(callee)).toBeDefined();

  const sdp = (type: string) => ({
    type: 'sdp',
    data: { type, sdp: 'v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\n' },
  });
  const candidate = {
    type: 'candidate',
    data: {
      type: 'candidate',
      candidate: 'candidate:1 1 udp 1 10.0.0.1 9 typ host',
      sdpMid: '0',
      sdpMLineIndex: 0,
    },
  };
  const script = [
    [callee, ann, 'READY'],
    [caller, bob, sdp('offer')],
    [callee, ann, sdp('answer')],
    [caller, bob, candidate],
    [callee, ann, candidate],
    [caller, bob, 'PING'],
    [callee, ann, 'PONG'],
  ] as const;
  for (const [from, to, message] of script) {
    forward(from, to, message);
    const [other, sender] = to === bob ? [callee, ann] : [caller, bob];
    expect(await readForward(other)).toEqual({ from: sender.legacyId, message });
    expect(await from.next('42["success","Mess')).toBe(success('Message forwarded'));
  }
});

test.for(['websocket', 'polling'] as const)(
  'QUITTING, after which the socket closes immediately over %s, is delivered once',
  async (transport) => {
    await using callee = await openPacketSocket(app.url);
    await callee.request('authenticate', { token: bob.token });
    for (let n = 0; n < 5; n += 1) {
      const caller = await callScreen(ann, { upgrades: transport === 'websocket' });
      if (transport === 'websocket') await caller.waitForUpgrade();
      forward(caller, bob, 'QUITTING');
      const closed = caller.close();
      expect(await readForward(callee)).toEqual({ from: ann.legacyId, message: 'QUITTING' });
      await closed;
    }
    await using last = await callScreen(ann);
    forward(last, bob, 'CALLING');
    expect(await readForward(callee)).toEqual({ from: ann.legacyId, message: 'CALLING' });
  },
);

test('a missed call is sent to a conversation that the call screen has not joined', async () => {
  await using chat = await chatScreen(bob);
  await chat.next(joined());
  await using call = await callScreen(ann);
  call.emit('message', { ...talk, text_message: 'Appel manqué !' });
  expect(await call.next('42["success",{')).toContain('"received":true');
  expect(await readMessageBubble(chat)).toMatchObject({
    linkId: await linkIdOf(ann),
    content: 'Appel manqué !',
  });
  expect(call.pending().filter((packet) => packet.startsWith('42["message"'))).toEqual([]);
});

test('a missed call without a conversation is refused, and the call screen stays usable', async () => {
  await using call = await callScreen(ann);
  call.emit('message', { conversation_id: 0, text_message: 'Appel manqué !' });
  expect(await call.next('42["error"')).toBe(error('Conversation introuvable'));
  call.emit('webrtc_credentials');
  expect(await readTurnCredentials(call)).toBeDefined();
  expect(await readTurnCredentials(call)).toBeDefined();
});
