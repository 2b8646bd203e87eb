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

// What the iOS app does, as far as its wire shows it: contract 8.2. It has one socket, which all screens share.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let circle: Entity;
let conversation: Entity;
let talk: { conversation_id: number };

beforeAll(async () => {
  app = await startTestApp();
  ann = await app.createAccount({ email: 'ann@example.com' });
  bob = await app.createAccount({ email: 'bob@example.com' });
  circle = await createCircle(ann, bob);
  conversation = await createConversation(ann, circle, bob);
  talk = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

/** The app connects, and reconnects, in one way: authenticate is all. */
async function launched(account: TestAccount, model = IOS, upgrades = true): Promise<MobileClient> {
  const socket = await connectMobileClient(app.url, model, { upgrades });
  await socket.next('40');
  socket.emit('authenticate', { token: account.token });
  return socket;
}

/** With a circle after `/user/info`, and with a chat open. */
async function inChat(account: TestAccount, model = IOS, upgrades = true): Promise<MobileClient> {
  const socket = await launched(account, model, upgrades);
  socket.emit('join_circle', { circle_id: circle.legacyId });
  socket.emit('join_conversation', talk);
  expect(await socket.next('42["success","Vous avez rejoins la conv')).toBe(
    `42["success","Vous avez rejoins la conversation : conversation_${conversation.legacyId}"]`,
  );
  return socket;
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The first argument of the next event on a channel, which the app takes for a dictionary. */
async function nextOn(socket: PacketConnection, channel: string): Promise<Fields> {
  const { payload } = decodeEvent(await socket.next(`42["${channel}"`));
  if (!isFields(payload)) throw new TypeError(`No dictionary: ${JSON.stringify(payload)}`);
  return payload;
}

/** What the app shows of an event on `message`: a bubble of text, a file to fetch, or nothing. */
function shownOf(frame: Fields, ownEmail: string): string | number | undefined {
  const message = isFields(frame['message']) ? frame['message'] : {};
  const sender = isFields(frame['sender']) ? frame['sender']['email'] : undefined;
  if (message['medias'] === 0) return `${String(sender)}: ${String(message['content'])}`;
  if (frame['status'] !== 'done' || sender === ownEmail || !isFields(frame['media'])) return undefined;
  if (!isInt32(frame['media']['id'])) throw new TypeError('media.id');
  return frame['media']['id'] as number;
}

const event = (channel: string, payload: unknown) => `42${JSON.stringify([channel, payload])}`;
/** Everything that was said before has come by then. */
const quiet = async (socket: PacketConnection) =>
  (await socket.request('unknown')).filter((packet) => packet.startsWith('42'));

test.for([
  ['twice, upgrading', IOS, true],
  ['twice, polling', IOS, false],
  ['once, upgrading', IOS_ENCODING_ONCE, true],
  ['once, polling', IOS_ENCODING_ONCE, false],
] as const)(
  'an app that encodes %s sees its own text from the echo, by its e-mail',
  async ([, model, upgrades]) => {
    await using own = await inChat(ann, model, upgrades);
    await using other = await inChat(bob);
    const text = 'Ça va, été ? 日本 😀';
    own.emit('message', { text_message: text, ...talk });
    const echo = await nextOn(own, 'message');
    expect(shownOf(echo, ann.login)).toBe(`ann@example.com: ${text}`);
    expect(shownOf(await nextOn(other, 'message'), bob.login)).toBe(`ann@example.com: ${text}`);
    await sendMessage(bob, conversation, text);
    expect(shownOf(await nextOn(own, 'message'), ann.login)).toBe(`bob@example.com: ${text}`);
  },
);

test('events sent before and after the upgrade arrive once, in order', async () => {
  await using own = await launched(ann);
  own.emit('join_conversation', talk);
  const texts = Array.from({ length: 20 }, (_, n) => `été ${n}`);
  for (const text of texts.slice(0, 10)) own.emit('message', { text_message: text, ...talk });
  await own.waitForUpgrade();
  for (const text of texts.slice(10)) own.emit('message', { text_message: text, ...talk });
  for (const text of texts)
    expect(shownOf(await nextOn(own, 'message'), ann.login)).toBe(`ann@example.com: ${text}`);
});

test('a file whose name is a list within the list is announced, uploaded, and fetched by its id', async () => {
  await using own = await inChat(ann);
  await using other = await inChat(bob);
  own.emit('message', { ...talk, files: [['E621E1F8', 'C36C', '495A']] });
  const { media_list: list } = await nextOn(own, 'media');
  expect(list).toEqual([
    {
      id: expect.any(Number),
      filename: null,
      extension: null,
      identifier: '{E621E1F8,C36C,495A}',
      uploaded: 'False',
    },
  ]);
  expect(shownOf(await nextOn(other, 'message'), bob.login)).toBeUndefined();
  const [{ id, identifier }] = list as [{ id: number; identifier: string }];
  const body = new FormData();
  body.set('media_id', String(id));
  body.set('file', new Blob(['picture'], { type: 'image/png' }), `${identifier}.png`);
  const uploaded = await fetch(`${app.url}/media/upload/${id}`, {
    method: 'POST',
    body,
    headers: { authorization: ann.token },
  });
  expect(uploaded.status).toBe(200);
  expect(shownOf(await nextOn(other, 'message'), bob.login)).toBe(id);
  expect(shownOf(await nextOn(own, 'message'), ann.login)).toBeUndefined();
});

test('after a reconnect without joins it receives no room frames, but all frames for its account', async () => {
  const before = await inChat(ann);
  await before.waitForUpgrade();
  await before.close();
  await using after = await launched(ann);
  await after.next('42["success"');
  await sendMessage(bob, conversation, 'unheard');
  await bob.graphql.run('mutation ($id: ID!) { updateCircle(circleId: $id, name: "Clan") { id } }', {
    id: circle.id,
  });
  const other = await createCircle(bob);
  const { inviteToCircle } = await bob.graphql.run<{ inviteToCircle: Entity }>(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { legacyId } }',
    { id: other.id, email: ann.login },
  );
  expect(await nextOn(after, 'circle_invite')).toEqual({
    event: 'invite',
    circle_id: other.legacyId,
    circle_invite_id: inviteToCircle.legacyId,
  });
  await using caller = await launched(bob);
  caller.emit('webrtc_forward', { user_id: ann.legacyId, message: 'CALLING' });
  expect(await nextOn(after, 'webrtc_forward')).toMatchObject({ sender_id: bob.legacyId });
  expect(await quiet(after)).toEqual([]);
});

test('an invitation carries the id by which the app queries it', async () => {
  await using guest = await launched(ann);
  await guest.next('42["success"');
  const other = await createCircle(bob);
  await bob.graphql.run(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    {
      id: other.id,
      email: ann.login,
    },
  );
  const { circle_invite_id: id } = await nextOn(guest, 'circle_invite');
  expect(isInt32(id)).toBe(true);
  const { acceptCircleInvitation } = await ann.graphql.run<{ acceptCircleInvitation: Entity }>(
    'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { legacyId } }',
    { id: `CircleInvitation:${String(id)}` },
  );
  expect(acceptCircleInvitation.legacyId).toBe(other.legacyId);
});

test('any error makes the app open a second connection, which is the one that is called; both stay in use', async () => {
  await using first = await inChat(ann);
  first.emit('join_circle', { circle_id: 99_999 });
  expect(await first.next('42["error"')).toBe(event('error', "Vous n'appartenez pas a ce cercle"));
  await using second = await inChat(ann);
  await using caller = await launched(bob);
  caller.emit('webrtc_forward', { user_id: ann.legacyId, message: 'CALLING' });
  expect(await nextOn(second, 'webrtc_forward')).toMatchObject({ content: { message: 'CALLING' } });
  await sendMessage(bob, conversation, 'both');
  for (const socket of [first, second])
    expect(shownOf(await nextOn(socket, 'message'), ann.login)).toBe('bob@example.com: both');
  first.emit('message', { text_message: 'from the first', ...talk });
  for (const socket of [first, second])
    expect(shownOf(await nextOn(socket, 'message'), ann.login)).toBe('ann@example.com: from the first');
  expect((await quiet(first)).filter((packet) => packet.includes('CALLING'))).toEqual([]);
});

test('a login, rooms, messages and forwards bring no error and no unrequested configuration', async () => {
  await using own = await inChat(ann);
  await using caller = await inChat(bob);
  own.emit('message', { text_message: 'Salut', ...talk });
  await nextOn(own, 'message');
  const script = [
    'CALLING',
    'READY',
    { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } },
    'PING',
    'QUITTING',
  ];
  for (const message of script) {
    caller.emit('webrtc_forward', { user_id: ann.legacyId, message });
    expect(await nextOn(own, 'webrtc_forward')).toEqual({
      sender_id: bob.legacyId,
      is_device: false,
      content: { user_id: ann.legacyId, message },
    });
  }
  own.emit('leave_conversation', talk);
  own.emit('leave_circle', { circle_id: circle.legacyId });
  const heard = [...own.pending(), ...(await quiet(own))];
  expect(heard.filter((packet) => /^42\["(error|webrtc_config)"/.test(packet))).toEqual([]);
});

test('credentials are sent on request, once, as strings', async () => {
  await using own = await launched(ann);
  own.emit('webrtc_credentials');
  const config = await nextOn(own, 'webrtc_config');
  expect(config).toEqual({ username: expect.any(String), password: expect.any(String) });
  expect((await quiet(own)).filter((packet) => packet.includes('webrtc_config'))).toEqual([]);
});

test('a client that sends EIO receives forwards on both channels, one without on webrtc_forward only', async () => {
  await using apple = await launched(ann);
  await apple.next('42["success"');
  await using caller = await openPacketSocket(app.url);
  await caller.request('authenticate', { token: bob.token });
  // To each other, and to oneself.
  await caller.request('webrtc_forward', { email: ann.login, message: 'PING' });
  expect((await quiet(apple)).map((packet) => decodeEvent(packet).channel)).toEqual(['webrtc_forward']);
  const answers = await caller.request('webrtc_forward', { email: bob.login, message: 'PING' });
  expect(answers.map((packet) => decodeEvent(packet).channel)).toEqual([
    'webrtc_forward',
    'webrtc_config',
    'success',
  ]);
});
