import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isInt32, decodeEvent } from '../harness/legacy-types.ts';
import { IOS, IOS_ENCODING_ONCE, connectMobileClient } from '../harness/mobile-clients.ts';
import type { MobileClient } from '../harness/mobile-clients.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketConnection } from '../harness/packet-connection.ts';

// The frames that the iOS app sends, and the replies that it relies on. All its screens share one socket.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let circle: Entity;
let conversation: Entity;
let conversationRef: { conversation_id: number };

beforeAll(async () => {
  app = await startTestApp();
  ann = await app.createAccount({ email: 'ann@example.com' });
  bob = await app.createAccount({ email: 'bob@example.com' });
  circle = await createCircle(ann, bob);
  conversation = await createConversation(ann, circle, bob);
  conversationRef = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

/** Launches the app, which sends only `authenticate` on every connect. */
async function launchApp(account: TestAccount, model = IOS, upgrades = true): Promise<MobileClient> {
  const socket = await connectMobileClient(app.url, model, { upgrades });
  await socket.next('40');
  socket.emit('authenticate', { token: account.token });
  return socket;
}

/** Launches the app, joins the circle, and opens the chat. */
async function openChat(account: TestAccount, model = IOS, upgrades = true): Promise<MobileClient> {
  const socket = await launchApp(account, model, upgrades);
  socket.emit('join_circle', { circle_id: circle.legacyId });
  socket.emit('join_conversation', conversationRef);
  expect(await socket.next('42["success","Vous avez rejoins la conv')).toBe(
    `42["success","Vous avez rejoins la conversation : conversation_${conversation.legacyId}"]`,
  );
  return socket;
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns the payload of the next event on a channel. Throws if it is not a dictionary, as the app expects. */
async function nextOn(socket: PacketConnection, channel: string): Promise<Fields> {
  const { payload } = decodeEvent(await socket.next(`42["${channel}"`));
  if (!isFields(payload)) throw new TypeError(`No dictionary: ${JSON.stringify(payload)}`);
  return payload;
}

/** Returns what the app displays for an event on `message`: its text, the id of the file to download, or undefined. */
function readDisplayed(frame: Fields, ownEmail: string): string | number | undefined {
  const message = isFields(frame['message']) ? frame['message'] : {};
  const sender = isFields(frame['sender']) ? frame['sender']['email'] : undefined;
  if (message['medias'] === 0) return `${String(sender)}: ${String(message['content'])}`;
  if (frame['status'] !== 'done' || sender === ownEmail || !isFields(frame['media'])) return undefined;
  if (!isInt32(frame['media']['id'])) throw new TypeError('media.id');
  return frame['media']['id'] as number;
}

const eventFrame = (channel: string, payload: unknown) => `42${JSON.stringify([channel, payload])}`;
/** Returns the events received before the acknowledgement of a request without a reply. */
const readEvents = async (socket: PacketConnection) =>
  (await socket.request('unknown')).filter((packet) => packet.startsWith('42'));

test.for([
  ['twice, upgrading', IOS, true],
  ['twice, polling', IOS, false],
  ['once, upgrading', IOS_ENCODING_ONCE, true],
  ['once, polling', IOS_ENCODING_ONCE, false],
] as const)(
  'an app that encodes %s displays its own text from the echo, by its e-mail',
  async ([, model, upgrades]) => {
    await using socket = await openChat(ann, model, upgrades);
    await using otherSocket = await openChat(bob);
    const text = 'Ça va, été ? 日本 😀';
    socket.emit('message', { text_message: text, ...conversationRef });
    const echo = await nextOn(socket, 'message');
    expect(readDisplayed(echo, ann.login)).toBe(`ann@example.com: ${text}`);
    expect(readDisplayed(await nextOn(otherSocket, 'message'), bob.login)).toBe(`ann@example.com: ${text}`);
    await sendMessage(bob, conversation, text);
    expect(readDisplayed(await nextOn(socket, 'message'), ann.login)).toBe(`bob@example.com: ${text}`);
  },
);

test('events sent before and after the upgrade arrive once, in order', async () => {
  await using socket = await launchApp(ann);
  socket.emit('join_conversation', conversationRef);
  const texts = Array.from({ length: 20 }, (_, n) => `été ${n}`);
  for (const text of texts.slice(0, 10)) socket.emit('message', { text_message: text, ...conversationRef });
  await socket.waitForUpgrade();
  for (const text of texts.slice(10)) socket.emit('message', { text_message: text, ...conversationRef });
  for (const text of texts)
    expect(readDisplayed(await nextOn(socket, 'message'), ann.login)).toBe(`ann@example.com: ${text}`);
});

test('a file whose name is a list within the list is announced, uploaded, and downloaded by its id', async () => {
  await using socket = await openChat(ann);
  await using otherSocket = await openChat(bob);
  socket.emit('message', { ...conversationRef, files: [['E621E1F8', 'C36C', '495A']] });
  const { media_list: media } = await nextOn(socket, 'media');
  expect(media).toEqual([
    {
      id: expect.any(Number),
      filename: null,
      extension: null,
      identifier: '{E621E1F8,C36C,495A}',
      uploaded: 'False',
    },
  ]);
  expect(readDisplayed(await nextOn(otherSocket, 'message'), bob.login)).toBeUndefined();
  const [{ id, identifier }] = media as [{ id: number; identifier: string }];
  const body = new FormData();
  body.set('media_id', String(id));
  body.set('file', new Blob(['picture'], { type: 'image/png' }), `${identifier}.png`);
  const response = await fetch(`${app.url}/media/upload/${id}`, {
    method: 'POST',
    body,
    headers: { authorization: ann.token },
  });
  expect(response.status).toBe(200);
  expect(readDisplayed(await nextOn(otherSocket, 'message'), bob.login)).toBe(id);
  expect(readDisplayed(await nextOn(socket, 'message'), ann.login)).toBeUndefined();
});

test('after a reconnect without joins the app receives no room frames, but all frames for its account', async () => {
  const firstSocket = await openChat(ann);
  await firstSocket.waitForUpgrade();
  await firstSocket.close();
  await using secondSocket = await launchApp(ann);
  await secondSocket.next('42["success"');
  await sendMessage(bob, conversation, 'missed');
  await bob.graphql.run('mutation ($id: ID!) { updateCircle(circleId: $id, name: "Clan") { id } }', {
    id: circle.id,
  });
  const otherCircle = await createCircle(bob);
  const { inviteToCircle } = await bob.graphql.run<{ inviteToCircle: Entity }>(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { legacyId } }',
    { id: otherCircle.id, email: ann.login },
  );
  expect(await nextOn(secondSocket, 'circle_invite')).toEqual({
    event: 'invite',
    circle_id: otherCircle.legacyId,
    circle_invite_id: inviteToCircle.legacyId,
  });
  await using caller = await launchApp(bob);
  caller.emit('webrtc_forward', { user_id: ann.legacyId, message: 'CALLING' });
  expect(await nextOn(secondSocket, 'webrtc_forward')).toMatchObject({ sender_id: bob.legacyId });
  expect(await readEvents(secondSocket)).toEqual([]);
});

test('an invitation carries the id by which the app queries it', async () => {
  await using socket = await launchApp(ann);
  await socket.next('42["success"');
  const otherCircle = await createCircle(bob);
  await bob.graphql.run(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    {
      id: otherCircle.id,
      email: ann.login,
    },
  );
  const { circle_invite_id: id } = await nextOn(socket, 'circle_invite');
  expect(isInt32(id)).toBe(true);
  const { acceptCircleInvitation } = await ann.graphql.run<{ acceptCircleInvitation: Entity }>(
    'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { legacyId } }',
    { id: `CircleInvitation:${String(id)}` },
  );
  expect(acceptCircleInvitation.legacyId).toBe(otherCircle.legacyId);
});

test('after an error the app opens a second connection, which receives the calls; both receive the room frames', async () => {
  await using firstSocket = await openChat(ann);
  firstSocket.emit('join_circle', { circle_id: 99_999 });
  expect(await firstSocket.next('42["error"')).toBe(eventFrame('error', "Vous n'appartenez pas a ce cercle"));
  await using secondSocket = await openChat(ann);
  await using caller = await launchApp(bob);
  caller.emit('webrtc_forward', { user_id: ann.legacyId, message: 'CALLING' });
  expect(await nextOn(secondSocket, 'webrtc_forward')).toMatchObject({ content: { message: 'CALLING' } });
  await sendMessage(bob, conversation, 'both');
  for (const socket of [firstSocket, secondSocket])
    expect(readDisplayed(await nextOn(socket, 'message'), ann.login)).toBe('bob@example.com: both');
  firstSocket.emit('message', { text_message: 'from the first', ...conversationRef });
  for (const socket of [firstSocket, secondSocket])
    expect(readDisplayed(await nextOn(socket, 'message'), ann.login)).toBe('ann@example.com: from the first');
  expect((await readEvents(firstSocket)).filter((packet) => packet.includes('CALLING'))).toEqual([]);
});

test('a login, rooms, messages and forwards cause no error and no unrequested configuration', async () => {
  await using socket = await openChat(ann);
  await using caller = await openChat(bob);
  socket.emit('message', { text_message: 'Salut', ...conversationRef });
  await nextOn(socket, 'message');
  const signals = [
    'CALLING',
    'READY',
    { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } },
    'PING',
    'QUITTING',
  ];
  for (const message of signals) {
    caller.emit('webrtc_forward', { user_id: ann.legacyId, message });
    expect(await nextOn(socket, 'webrtc_forward')).toEqual({
      sender_id: bob.legacyId,
      is_device: false,
      content: { user_id: ann.legacyId, message },
    });
  }
  socket.emit('leave_conversation', conversationRef);
  socket.emit('leave_circle', { circle_id: circle.legacyId });
  const received = [...socket.pending(), ...(await readEvents(socket))];
  expect(received.filter((packet) => /^42\["(error|webrtc_config)"/.test(packet))).toEqual([]);
});

test('credentials are sent on request, once, as strings', async () => {
  await using socket = await launchApp(ann);
  socket.emit('webrtc_credentials');
  const config = await nextOn(socket, 'webrtc_config');
  expect(config).toEqual({ username: expect.any(String), password: expect.any(String) });
  expect((await readEvents(socket)).filter((packet) => packet.includes('webrtc_config'))).toEqual([]);
});

test('a client that sends EIO receives forwards on both channels, one without on webrtc_forward only', async () => {
  await using iosSocket = await launchApp(ann);
  await iosSocket.next('42["success"');
  await using caller = await openPacketSocket(app.url);
  await caller.request('authenticate', { token: bob.token });
  // From one account to the other, and to its own.
  await caller.request('webrtc_forward', { email: ann.login, message: 'PING' });
  expect((await readEvents(iosSocket)).map((packet) => decodeEvent(packet).channel)).toEqual([
    'webrtc_forward',
  ]);
  const replies = await caller.request('webrtc_forward', { email: bob.login, message: 'PING' });
  expect(replies.map((packet) => decodeEvent(packet).channel)).toEqual([
    'webrtc_forward',
    'webrtc_config',
    'success',
  ]);
});
