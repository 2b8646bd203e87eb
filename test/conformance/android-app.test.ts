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

// The frames that the Android app sends, and the replies that it relies on. Each of its screens has its own socket.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let circle: Entity;
let conversation: Entity;
let conversationRef: { conversation_id: number };

beforeAll(async () => {
  app = await startTestApp({ env: { PRESENCE_GRACE_MS: '1500' } });
  ann = await app.createAccount({ email: 'ann@example.com' });
  bob = await app.createAccount({ email: 'bob@example.com' });
  circle = await createCircle(ann, bob);
  conversation = await createConversation(ann, circle, bob);
  conversationRef = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

interface ScreenOptions {
  readonly upgrades?: boolean;
  readonly circleId?: number;
}

/** Opens the home screen, the contacts or a list: they send only `authenticate`. */
async function openHomeScreen(account: TestAccount, options?: ScreenOptions): Promise<MobileClient> {
  const screen = await connectMobileClient(app.url, ANDROID, options);
  await screen.next('40');
  screen.emit('authenticate', { token: account.token });
  return screen;
}

/** Opens the chat screen, which sends all its requests on connect, without waiting for replies. */
async function openChatScreen(account: TestAccount, options: ScreenOptions = {}): Promise<MobileClient> {
  const screen = await openHomeScreen(account, options);
  screen.emit('join_circle', { circle_id: options.circleId ?? circle.legacyId });
  screen.emit('join_conversation', conversationRef);
  return screen;
}

async function openCallScreen(account: TestAccount, options?: ScreenOptions): Promise<MobileClient> {
  const screen = await openHomeScreen(account, options);
  screen.emit('webrtc_credentials');
  return screen;
}

const success = (text: string) => `42["success",${JSON.stringify(text)}]`;
const error = (text: string) => `42["error",${JSON.stringify(text)}]`;
const AUTHENTICATED = success('User authenticated');
const joinReply = () => success(`Vous avez rejoins la conversation : conversation_${conversation.legacyId}`);

const sendSignal = (screen: PacketConnection, recipient: TestAccount, message: unknown) =>
  screen.emit('webrtc_forward', { email: recipient.login, message });

async function readLinkId(account: TestAccount): Promise<number> {
  const { conversation: result } = await account.graphql.run<{
    conversation: { participants: { nodes: { legacyId: number; user: { email: string } }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { participants { nodes { legacyId user { email } } } } }', {
    id: conversation.id,
  });
  const participant = result.participants.nodes.find(({ user }) => user.email === account.login);
  if (participant === undefined) throw new Error('Not a participant.');
  return participant.legacyId;
}

test.for([true, false])(
  'the chat screen, upgrading %j: every event gets its reply in order',
  async (upgrades) => {
    await using chat = await openChatScreen(ann, { upgrades });
    expect(await chat.next('42["success"')).toBe(AUTHENTICATED);
    expect(await chat.next('42["success"')).toBe(
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
    );
    expect(await chat.next('42["success"')).toBe(joinReply());
    await sendMessage(bob, conversation, 'Ça va ? 😀');
    expect(await readMessageBubble(chat)).toEqual({
      id: expect.any(Number),
      linkId: await readLinkId(bob),
      medias: 0,
      content: 'Ça va ? 😀',
    });
  },
);

test.for([true, false])(
  'the chat screen without a circle id, upgrading %j: the conversation is joined too',
  async (upgrades) => {
    await using chat = await openChatScreen(ann, { upgrades, circleId: 0 });
    expect(await chat.next()).toBe(AUTHENTICATED);
    expect(await chat.next()).toBe(error("Vous n'appartenez pas a ce cercle"));
    expect(await chat.next()).toBe(joinReply());
  },
);

test('messages sent during the upgrade arrive once, in order, with the link id by which the app recognizes its own', async () => {
  await using chat = await openChatScreen(ann, { circleId: 0 });
  const texts = Array.from({ length: 20 }, (_, n) => `été ${n}`);
  for (const text of texts.slice(0, 10)) chat.emit('message', { ...conversationRef, text_message: text });
  await chat.waitForUpgrade();
  for (const text of texts.slice(10)) chat.emit('message', { ...conversationRef, text_message: text });
  const ownLinkId = await readLinkId(ann);
  for (const text of texts) {
    expect(await chat.next('42["success",{')).toMatch(
      /^42\["success",\{"received":true,"message_id":\d+\}\]$/,
    );
    expect(await readMessageBubble(chat)).toMatchObject({ linkId: ownLinkId, content: text });
  }
});

test('frames that the app cannot display omit the fields that would crash it', async () => {
  await using device = await createDevice(app, ann, circle);
  await using chat = await openChatScreen(ann);
  await chat.next(joinReply());
  await ann.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    { id: conversation.id },
  );
  await sendMessage(device, conversation, 'from the kitchen');
  expect(await readMessageBubble(chat)).toBeUndefined();
  const { sendMessage: result } = await sendMessage(bob, conversation, 'typo');
  expect(await readMessageBubble(chat)).toMatchObject({ content: 'typo' });
  const { id } = result.message;
  await bob.graphql.run('mutation ($id: ID!) { updateMessage(messageId: $id, text: "fixed") { id } }', {
    id,
  });
  expect(await readMessageBubble(chat)).toBeUndefined();
  await bob.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', { id });
  expect(await readMessageBubble(chat)).toBeUndefined();
  chat.emit('message', { ...conversationRef, text_message: null });
  expect(await readMessageBubble(chat)).toMatchObject({ content: '' });
});

test('a picture is sent in a pending and a done frame of the same shape, and can be downloaded after the second', async () => {
  await using chat = await openChatScreen(ann, { circleId: 0 });
  await chat.next(joinReply());
  chat.emit('message', { ...conversationRef, files: ['test.png'] });
  const { payload } = decodeEvent(await chat.next('42["media"'));
  const media = castField<unknown[]>(payload as Record<string, unknown>, 'media_list', Array.isArray);
  const mediaId = castField<number>(media[0] as Record<string, unknown>, 'id', isInt32);
  const pending = await readMessageBubble(chat);
  expect(pending).toMatchObject({ medias: 1, content: '' });
  const body = Buffer.from(
    '--*****\r\nContent-Disposition: form-data; name="file";filename="/storage/emulated/0/test.png"\r\n\r\npicture\r\n--*****--\r\n',
  );
  const headers = { authorization: ann.token, 'content-type': 'multipart/form-data;boundary=*****' };
  const response = await fetch(`${app.url}/media/upload/${mediaId}`, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
  expect(await readMessageBubble(chat)).toEqual(pending);
});

test('a change of screens, whether the former socket closes before or during the new login, does not change presence', async () => {
  const [cat, dan, eve] = await Promise.all(
    ['cat', 'dan', 'eve'].map((name) => app.createAccount({ email: `${name}@example.com` })),
  );
  if (cat === undefined || dan === undefined || eve === undefined) throw new Error('A user is missing.');
  const { legacyId } = await createCircle(cat, dan, eve);
  const presenceFrame = (event: string, user: string) =>
    `42["circle",{"event":"${event}","user":"${user}@example.com","circle_id":${legacyId}}]`;
  await using observer = await openPacketSocket(app.url);
  await observer.request('authenticate', { token: dan.token });
  await observer.request('join_circle', { circle_id: legacyId });
  let screen = await openHomeScreen(cat);
  const pendingCloses: Promise<void>[] = [];
  for (let n = 0; n < 6; n += 1) {
    if (n % 3 === 0) await screen.waitForUpgrade();
    const previousScreen = screen;
    if (n % 2 === 0) pendingCloses.push(previousScreen.close());
    screen = await (n % 2 === 0 ? openHomeScreen(cat) : openCallScreen(cat));
    if (n % 2 === 1) pendingCloses.push(previousScreen.close());
    await screen.next(AUTHENTICATED);
  }
  await Promise.all(pendingCloses);
  // Eve disconnects last: her frame follows any frame that the screens may have caused.
  const eveClient = await openPacketSocket(app.url);
  await eveClient.request('authenticate', { token: eve.token });
  eveClient.socket.close();
  const received: string[] = [];
  while (received.at(-1) !== presenceFrame('disconnect', 'eve'))
    received.push(await observer.next('42["circle"'));
  expect(received).toEqual([
    presenceFrame('connect', 'cat'),
    presenceFrame('connect', 'eve'),
    presenceFrame('disconnect', 'eve'),
  ]);
  await screen.close();
  expect(await observer.next('42["circle"')).toBe(presenceFrame('disconnect', 'cat'));
});

test.for([true, false])('a call, upgrading %j: from CALLING to PONG', async (upgrades) => {
  await using home = await openHomeScreen(bob, { upgrades });
  await home.next(AUTHENTICATED);
  await using caller = await openCallScreen(ann, { upgrades });
  expect(await caller.next()).toBe(AUTHENTICATED);
  const credentials = await readTurnCredentials(caller);
  expect(credentials?.username).toMatch(new RegExp(`^\\d+(\\.\\d+)?:${ann.legacyId}False$`));

  sendSignal(caller, bob, 'CALLING');
  expect(await readForward(home)).toEqual({ from: ann.legacyId, message: 'CALLING' });
  // The signal arrives on `webrtc_config` too, as documented: an object without credentials.
  expect(await readTurnCredentials(home)).toBeUndefined();
  await home.close();
  await using callee = await openCallScreen(bob, { upgrades });
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
  const signals = [
    [callee, ann, 'READY'],
    [caller, bob, sdp('offer')],
    [callee, ann, sdp('answer')],
    [caller, bob, candidate],
    [callee, ann, candidate],
    [caller, bob, 'PING'],
    [callee, ann, 'PONG'],
  ] as const;
  for (const [from, to, message] of signals) {
    sendSignal(from, to, message);
    const [recipientScreen, sender] = to === bob ? [callee, ann] : [caller, bob];
    expect(await readForward(recipientScreen)).toEqual({ from: sender.legacyId, message });
    expect(await from.next('42["success","Mess')).toBe(success('Message forwarded'));
  }
});

test.for(['websocket', 'polling'] as const)(
  'QUITTING, after which the socket closes immediately over %s, is delivered once',
  async (transport) => {
    await using callee = await openPacketSocket(app.url);
    await callee.request('authenticate', { token: bob.token });
    for (let n = 0; n < 5; n += 1) {
      const caller = await openCallScreen(ann, { upgrades: transport === 'websocket' });
      if (transport === 'websocket') await caller.waitForUpgrade();
      sendSignal(caller, bob, 'QUITTING');
      const closing = caller.close();
      expect(await readForward(callee)).toEqual({ from: ann.legacyId, message: 'QUITTING' });
      await closing;
    }
    await using lastCaller = await openCallScreen(ann);
    sendSignal(lastCaller, bob, 'CALLING');
    expect(await readForward(callee)).toEqual({ from: ann.legacyId, message: 'CALLING' });
  },
);

test('a missed call is sent to a conversation that the call screen has not joined', async () => {
  await using chat = await openChatScreen(bob);
  await chat.next(joinReply());
  await using call = await openCallScreen(ann);
  call.emit('message', { ...conversationRef, text_message: 'Appel manqué !' });
  expect(await call.next('42["success",{')).toContain('"received":true');
  expect(await readMessageBubble(chat)).toMatchObject({
    linkId: await readLinkId(ann),
    content: 'Appel manqué !',
  });
  expect(call.pending().filter((packet) => packet.startsWith('42["message"'))).toEqual([]);
});

test('a missed call without a conversation is rejected, and the call screen stays usable', async () => {
  await using call = await openCallScreen(ann);
  call.emit('message', { conversation_id: 0, text_message: 'Appel manqué !' });
  expect(await call.next('42["error"')).toBe(error('Conversation introuvable'));
  call.emit('webrtc_credentials');
  expect(await readTurnCredentials(call)).toBeDefined();
  expect(await readTurnCredentials(call)).toBeDefined();
});
