import { afterAll, beforeAll, expect, test } from 'vitest';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { CHANNELS, COMMON_ERRORS } from '../../src/bridge/contract/channels.ts';
import { framesOf, framesOfEphemeral } from '../../src/bridge/contract/event-frames.ts';
import type { Database } from '../../src/db/database.ts';
import { createCircle, createConversation, createGateway, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startFakeBridge } from '../bridge/fake-bridge.ts';
import { openTestDatabase } from '../harness/database.ts';
import { keepNewest } from '../harness/event-core.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { findViolation, rowOf } from './frame-shapes.ts';
import { runMutation } from '../harness/run-mutation.ts';

// The whole legacy wire as text: one scenario that triggers every row of the documentation. The tests run in order, and
// share their clients. Ids are real, and differ between kinds. The last tests validate every received frame against the
// contract.

let database: Database;
let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let cleo: TestAccount;
let eve: TestAccount;
let device: TestAccount;
let circle: Entity;
let conversation: Entity;

/** The connected clients, by their names in the snapshots. */
const clients = new Map<string, PacketSocket>();
/** Every packet received by any client. */
const received: { readonly name: string; readonly packet: string }[] = [];
/** The replies on each listened channel. */
const replies = new Map<string, Set<string>>();
let requestCount = 0;

const createAccount = (name: string, birthday = '1995-12-12') =>
  app.createAccount({
    email: `${name.toLowerCase()}@example.com`,
    firstName: name,
    lastName: 'Martin',
    birthday,
  });

beforeAll(async () => {
  database = await openTestDatabase();
  app = await createGateway({ database, env: { RATE_LIMITS: 'on' } });
  // Created first, so that later ids differ between kinds.
  eve = await createAccount('Eve');
  const dan = await createAccount('Dan');
  const otherCircle = await createCircle(eve, dan);
  const otherConversation = await createConversation(eve, otherCircle, dan);
  await createConversation(eve, otherCircle, dan);
  await (await createDevice(app, eve, otherCircle))[Symbol.asyncDispose]();
  await sendMessage(
    eve,
    otherConversation,
    'files',
    Array.from({ length: 15 }, (_, n) => `${n}.png`),
  );
  for (let n = 0; n < 20; n += 1) await sendMessage(eve, otherConversation, `${n}`);
  ann = await createAccount('Ann');
  bob = await createAccount('Bob');
  cleo = await createAccount('Cleo');
  circle = await createCircle(ann, bob, cleo);
  conversation = await createConversation(ann, circle, bob, cleo);
});

afterAll(async () => {
  for (const client of clients.values()) await client[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

async function connectClient(
  name: string,
  protocol: 3 | 4 | 'none' = 3,
  url = app.url,
): Promise<PacketSocket> {
  const client = await openPacketSocket(url, protocol);
  client.socket.on('message', (data: Buffer) => received.push({ name, packet: data.toString() }));
  return client;
}

/** Connects and authenticates a client, which stays connected for the following tests. */
async function login(
  name: string,
  account: TestAccount,
  protocol: 3 | 4 | 'none' = 3,
): Promise<PacketSocket> {
  const client = await connectClient(name, protocol);
  clients.set(name, client);
  await request(client, 'authenticate', { token: account.token });
  return client;
}

async function request(client: PacketSocket, channel: string, ...args: unknown[]): Promise<string[]> {
  requestCount += 1;
  const packets = await client.request(channel, ...args);
  const channelReplies = replies.get(channel) ?? new Set();
  for (const packet of packets) channelReplies.add(packet);
  replies.set(channel, channelReplies);
  return packets;
}

/** Sends requests, and returns them and their replies before the empty acknowledgement, as text. */
async function runDialogue(
  client: PacketSocket,
  ...requests: readonly (readonly [string, ...unknown[]])[]
): Promise<string> {
  const lines: string[] = [];
  for (const [channel, ...args] of requests) {
    lines.push(`> ${[channel, ...args.map((argument) => JSON.stringify(argument))].join(' ')}`);
    for (const packet of await request(client, channel, ...args)) lines.push(`< ${packet}`);
  }
  return normalize(lines.join('\n'));
}

/** Runs an action, and returns the packet that each recipient receives. Throws if a client receives another packet. */
async function readFrames(recipients: readonly string[], action: () => Promise<unknown>): Promise<string> {
  await action();
  const recipientsOf = new Map<string, string[]>();
  for (const name of recipients) {
    const packet = await clientOf(name).next();
    recipientsOf.set(packet, [...(recipientsOf.get(packet) ?? []), name]);
  }
  for (const [name, client] of clients) expect([name, ...(await request(client, 'unknown'))]).toEqual([name]);
  return normalize([...recipientsOf].map(([packet, names]) => `${names.join('; ')}: ${packet}`).join('\n'));
}

function clientOf(name: string): PacketSocket {
  const client = clients.get(name);
  if (client === undefined) throw new Error(`${name} is not connected.`);
  return client;
}

/** Replaces only the values that differ between runs. */
const normalize = (text: string): string =>
  text
    .replaceAll(/"\d{4}-\d\d-\d\dT(?!00:00:00")\d\d:\d\d:\d\d(\.\d{6})?"/g, '"<date>"')
    .replaceAll(/"(eyJ[^"]+)"/g, '"<token>"')
    .replaceAll(/"device-[0-9a-f]+"/g, '"<username>"')
    .replaceAll(/"username":"\d+(\.\d+)?:/g, '"username":"<time>:')
    .replaceAll(/"password":"[^"]{28}"/g, '"password":"<base64>"');

async function uploadFile(account: TestAccount, id: number, filename: string): Promise<number> {
  const body = new FormData();
  body.set('file', new Blob(['content']), filename);
  const headers = { authorization: account.token };
  return (await fetch(`${app.url}/media/upload/${id}`, { method: 'POST', body, headers })).status;
}

const conversationRef = () => ({ conversation_id: conversation.legacyId });
const circleRef = () => ({ circle_id: circle.legacyId });

test('before authenticate, channels that need an account are rejected', async () => {
  await using client = await connectClient('anonymous');
  const channels = CHANNELS.map(({ name }) => [name, {}] as const);
  expect(await runDialogue(client, ...channels)).toMatchInlineSnapshot(`
    "> authenticate {}
    < 42["error","Json web token introuvable"]
    > join_conversation {}
    < 42["error","Socket user introuvable"]
    > leave_conversation {}
    < 42["error","Socket user introuvable"]
    > join_circle {}
    < 42["error","Socket user introuvable, vous devez vous authentifier"]
    > leave_circle {}
    < 42["error","Socket user introuvable"]
    > message {}
    < 42["error","Socket user introuvable"]
    > writing {}
    < 42["error","Socket user introuvable"]
    > webrtc_credentials {}
    < 42["error","Socket user introuvable"]
    > webrtc_stun_info {}
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]
    > webrtc_turn_info {}
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]
    > webrtc_forward {}
    < 42["error","Socket user introuvable"]
    > webrtc_join_room {}
    > webrtc_leave_room {}
    > webrtc_room_forward {}"
  `);
});

test('authenticate accepts a valid token, and rejects others', async () => {
  await using client = await connectClient('eve');
  expect(
    await runDialogue(
      client,
      ['authenticate'],
      ['authenticate', {}],
      ['authenticate', { token: 'a.b.c' }],
      ['authenticate', { token: null }],
      ['authenticate', { token: eve.token }],
      ['authenticate', { token: 'a.b.c' }],
    ),
  ).toMatchInlineSnapshot(`
    "> authenticate
    < 42["error","Json web token introuvable"]
    > authenticate {}
    < 42["error","Json web token introuvable"]
    > authenticate {"token":"a.b.c"}
    < 42["error","User not found"]
    > authenticate {"token":null}
    < 42["error","User not found"]
    > authenticate {"token":"<token>"}
    < 42["success","User authenticated"]
    > authenticate {"token":"a.b.c"}
    < 42["error","User not found"]"
  `);
});

test('presence and a new device are sent to the room of the circle', async () => {
  for (const [name, protocol] of [
    ['bob, listening', 3],
    ['bob', 4],
  ] as const) {
    const client = await login(name, bob, protocol);
    await request(client, 'join_circle', circleRef());
  }
  const bobClients = ['bob, listening', 'bob'];
  expect(await readFrames(bobClients, () => login('ann', ann))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"connect","user":"ann@example.com","circle_id":2}]"`,
  );
  const deviceCreated = await readFrames(
    bobClients,
    async () => (device = await createDevice(app, ann, circle)),
  );
  expect(deviceCreated).toMatchInlineSnapshot(`"bob, listening; bob: 42["device created",{"circle_id":2}]"`);
  expect(await readFrames(bobClients, () => login('device', device))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"device","type":"connect","device_id":2,"circle_id":2}]"`,
  );
  expect(await readFrames(bobClients, () => login('cleo, without EIO', cleo, 'none'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"connect","user":"cleo@example.com","circle_id":2}]"`,
  );
  const disconnect = async (name: string) => {
    clientOf(name).socket.close();
    clients.delete(name);
  };
  expect(await readFrames(bobClients, () => disconnect('device'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]"`,
  );
  expect(await readFrames(bobClients, () => disconnect('cleo, without EIO'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"disconnect","user":"cleo@example.com","circle_id":2}]"`,
  );
  await readFrames(bobClients, () => login('device', device));
  await readFrames(bobClients, () => login('cleo, without EIO', cleo, 'none'));
});

test('join_circle and leave_circle reply with the room, or an error', async () => {
  const rows = [
    ['join_circle', {}],
    ['join_circle', { circle_id: 0 }],
    ['join_circle', { circle_id: 1 }],
    ['join_circle', circleRef()],
    ['leave_circle', {}],
    ['leave_circle', circleRef()],
    ['join_circle', { circle_id: String(circle.legacyId) }],
  ] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> join_circle {}
    < 42["error","Parameter missing"]
    > join_circle {"circle_id":0}
    < 42["error","Vous n'appartenez pas a ce cercle"]
    > join_circle {"circle_id":1}
    < 42["error","Vous n'appartenez pas a ce cercle"]
    > join_circle {"circle_id":2}
    < 42["success","Vous avez rejoins le cercle : circle_2"]
    > leave_circle {}
    < 42["error","Parameter circle_id missing"]
    > leave_circle {"circle_id":2}
    < 42["success","Vous avez quitte le cercle"]
    > join_circle {"circle_id":"2"}
    < 42["success","Vous avez rejoins le cercle : circle_2"]"
  `);
  expect(await runDialogue(clientOf('device'), ['join_circle', circleRef()])).toMatchInlineSnapshot(`
    "> join_circle {"circle_id":2}
    < 42["success","Vous avez rejoins le cercle : circle_2"]"
  `);
  await request(clientOf('cleo, without EIO'), 'join_circle', circleRef());
});

test('join_conversation and leave_conversation reply with the room, or an error', async () => {
  const rows = [
    ['join_conversation', {}],
    ['join_conversation', { conversation_id: 1 }],
    ['join_conversation', { conversation_id: 'x' }],
    ['join_conversation', { ...conversationRef(), after_message_id: 'x' }],
    ['join_conversation', conversationRef()],
    ['leave_conversation', {}],
    ['leave_conversation', conversationRef()],
    ['leave_conversation', { conversation_id: 1 }],
    ['join_conversation', JSON.stringify(conversationRef())],
  ] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> join_conversation {}
    < 42["error","Parameter missing"]
    > join_conversation {"conversation_id":1}
    < 42["error","Vous ne faite pas partie de cette conversation"]
    > join_conversation {"conversation_id":"x"}
    < 42["error","Vous ne faite pas partie de cette conversation"]
    > join_conversation {"conversation_id":3,"after_message_id":"x"}
    < 42["error","Parameter missing"]
    > join_conversation {"conversation_id":3}
    < 42["success","Vous avez rejoins la conversation : conversation_3"]
    > leave_conversation {}
    < 42["error","Parameter conversation_id missing"]
    > leave_conversation {"conversation_id":3}
    < 42["success","Vous avez quitte la conversation"]
    > leave_conversation {"conversation_id":1}
    < 42["success","Vous avez quitte la conversation"]
    > join_conversation "{\\"conversation_id\\":3}"
    < 42["success","Vous avez rejoins la conversation : conversation_3"]"
  `);
  expect(await runDialogue(clientOf('device'), ['join_conversation', conversationRef()]))
    .toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3}
    < 42["error","Vous ne faite pas partie de cette conversation"]"
  `);
  for (const name of ['bob', 'bob, listening', 'cleo, without EIO'])
    await request(clientOf(name), 'join_conversation', conversationRef());
});

const clientsWithoutDevice = ['ann', 'bob', 'bob, listening', 'cleo, without EIO'];
const allClients = [...clientsWithoutDevice, 'device'];

test('circle frames for update, join, quit, kick, and an update of the device are sent to the room', async () => {
  expect(
    await readFrames(allClients, () =>
      runMutation(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"update","circle_id":2}]"`,
  );
  const invitationId = await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: eve.login,
  });
  expect(
    await readFrames(allClients, () =>
      runMutation(eve, 'acceptCircleInvitation(invitationId: $id)', { id: invitationId }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"join","user":"eve@example.com","circle_id":2}]"`,
  );
  expect(
    await readFrames(allClients, () => runMutation(eve, 'leaveCircle(circleId: $id)', { id: circle.id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"quit","user":"eve@example.com","circle_id":2}]"`,
  );
  const secondInvitationId = await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: eve.login,
  });
  await readFrames(allClients, () =>
    runMutation(eve, 'acceptCircleInvitation(invitationId: $id)', { id: secondInvitationId }),
  );
  expect(
    await readFrames(allClients, () =>
      runMutation(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: eve.login }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"kick","user":"eve@example.com","from":"ann@example.com","circle_id":2}]"`,
  );
  expect(
    await readFrames(allClients, () =>
      runMutation(ann, 'updateDevice(deviceId: $id, name: $name)', { id: device.id, name: 'Hall' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"device","type":"update","device_id":2,"circle_id":2}]"`,
  );
});

test('circle_invite frames, and conversation frames for invite and promoted, are sent to the newest connection only', async () => {
  const otherCircle = await createCircle(ann);
  expect(
    await readFrames(['bob'], () =>
      runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
        id: otherCircle.id,
        email: bob.login,
      }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["circle_invite",{"event":"invite","circle_id":3,"circle_invite_id":6}]"`);
  let sideConversation = otherCircle;
  expect(
    await readFrames(
      ['cleo, without EIO'],
      async () => (sideConversation = await createConversation(ann, circle, cleo)),
    ),
  ).toMatchInlineSnapshot(`"cleo, without EIO: 42["conversation",{"event":"invite","conversation_id":4}]"`);
  expect(
    await readFrames(['bob'], () =>
      runMutation(ann, 'inviteToConversation(conversationId: $id, email: $email)', {
        id: sideConversation.id,
        email: bob.login,
      }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["conversation",{"event":"invite","conversation_id":4}]"`);
  expect(
    await readFrames(['bob'], () =>
      runMutation(ann, 'promoteInConversation(conversationId: $id, email: $email)', {
        id: sideConversation.id,
        email: bob.login,
      }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["conversation",{"event":"promoted","conversation_id":4}]"`);
});

test('conversation frames for update, device add and device remove are sent to the room', async () => {
  const newName = { id: conversation.id, name: 'Chat' };
  const setDeviceAccess = 'setDeviceAccess(conversationId: $id, allowed: $allowed)';
  const joinDevice = () => request(clientOf('device'), 'join_conversation', conversationRef());
  expect(
    await readFrames(clientsWithoutDevice, () =>
      runMutation(ann, 'updateConversation(conversationId: $id, name: $name)', newName),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["conversation",{"event":"update","conversation_id":3}]"`,
  );
  expect(
    await readFrames(clientsWithoutDevice, () =>
      runMutation(ann, setDeviceAccess, { id: conversation.id, allowed: true }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["conversation",{"event":"device","type":"add","conversation_id":3}]"`,
  );
  await joinDevice();
  expect(
    await readFrames(allClients, () =>
      runMutation(ann, setDeviceAccess, { id: conversation.id, allowed: false }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["conversation",{"event":"device","type":"remove","conversation_id":3}]"`,
  );
  await readFrames(clientsWithoutDevice, () =>
    runMutation(ann, setDeviceAccess, { id: conversation.id, allowed: true }),
  );
  await joinDevice();
});

/** Sends a request, and returns its replies and the frame that all other clients receive. */
async function requestAndReadFrames(sender: string, channel: string, payload: object): Promise<string> {
  const recipients = allClients.filter((name) => name !== sender);
  return runDialogueAndReadFrames(sender, recipients, channel, payload);
}

/** Sends a request, and returns its replies and the frames that the recipients receive. */
async function runDialogueAndReadFrames(
  sender: string,
  recipients: readonly string[],
  channel: string,
  payload: object,
): Promise<string> {
  let dialogue = '';
  const frames = await readFrames(recipients, async () => {
    dialogue = await runDialogue(clientOf(sender), [channel, payload]);
  });
  return `${dialogue}\n${frames}`;
}

test('a message without files of a user or a device is sent complete', async () => {
  expect(await requestAndReadFrames('ann', 'message', { ...conversationRef(), text_message: 'Ça va ? 😀' }))
    .toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"Ça va ? 😀"}
    < 42["success",{"received":true,"message_id":22}]
    < 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"\\u00c7a va ? \\ud83d\\ude00","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob: 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"Ça va ? 😀","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"\\u00c7a va ? \\ud83d\\ude00","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  expect(
    await requestAndReadFrames('device', 'message', {
      ...conversationRef(),
      text_message: 'Bip',
      files: null,
    }),
  ).toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"Bip","files":null}
    < 42["success",{"received":true,"message_id":23}]
    < 42["message",{"conversation_id":3,"message":{"id":23,"device_id":2,"sent":"<date>","read":null,"content":"Bip","medias":0},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[],"status":"done"}]
    ann; bob; bob, listening; cleo, without EIO: 42["message",{"conversation_id":3,"message":{"id":23,"device_id":2,"sent":"<date>","read":null,"content":"Bip","medias":0},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[],"status":"done"}]"
  `);
});

test('a message with files is sent as pending, and its sender receives the list of its files, even if empty', async () => {
  expect(
    await requestAndReadFrames('ann', 'message', {
      ...conversationRef(),
      files: ['test.png', ['E621E1F8', 'C36C']],
    }),
  ).toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"files":["test.png",["E621E1F8","C36C"]]}
    < 42["media",{"media_list":[{"id":16,"filename":null,"extension":null,"identifier":"test.png","uploaded":"False"},{"id":17,"filename":null,"extension":null,"identifier":"{E621E1F8,C36C}","uploaded":"False"}],"message_id":24}]
    < 42["success",{"received":true,"message_id":24}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"status":"pending"}]
    bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"status":"pending"}]"
  `);
  expect(
    await requestAndReadFrames('ann', 'message', { ...conversationRef(), text_message: 'None', files: [] }),
  ).toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"None","files":[]}
    < 42["media",{"media_list":[],"message_id":25}]
    < 42["success",{"received":true,"message_id":25}]
    < 42["message",{"conversation_id":3,"message":{"id":25,"link_id":5,"sent":"<date>","read":null,"content":"None","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":25,"link_id":5,"sent":"<date>","read":null,"content":"None","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  expect(await requestAndReadFrames('device', 'message', { ...conversationRef(), files: ['scan.pdf'] }))
    .toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"files":["scan.pdf"]}
    < 42["media",{"media_list":[{"id":18,"filename":null,"extension":null,"identifier":"scan.pdf","uploaded":"False"}],"message_id":26}]
    < 42["success",{"received":true,"message_id":26}]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]
    ann; bob; bob, listening; cleo, without EIO: 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]"
  `);
});

test('an uploaded file is sent with its message: one that is not the last, the last, and that of a device', async () => {
  const uploadAndReadFrames = (account: TestAccount, id: number, name: string) =>
    readFrames(allClients, async () => expect(await uploadFile(account, id, name)).toBe(200));
  expect(await uploadAndReadFrames(ann, 16, '/storage/emulated/0/cake.png')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media":{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},"status":"done"}]"`,
  );
  expect(await uploadAndReadFrames(ann, 17, 'E621E1F8,C36C')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"}],"media":{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"},"status":"done"}]"`,
  );
  expect(await uploadAndReadFrames(device, 18, 'scan.tar.gz')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"}],"media":{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"},"status":"done"}]"`,
  );
});

test('an updated or a deleted message is sent as its id and the change', async () => {
  const id = 'Message:22';
  expect(
    await readFrames(allClients, () =>
      runMutation(ann, 'updateMessage(messageId: $id, text: $text)', { id, text: 'Ça va.' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message_id":22,"event":"update"}]"`,
  );
  expect(
    await readFrames(allClients, () => runMutation(ann, 'deleteMessage(messageId: $id)', { id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message_id":22,"event":"delete"}]"`,
  );
});

test('an invalid message is rejected', async () => {
  const rows = [
    ['message', {}],
    ['message', { ...conversationRef(), files: 'file.txt' }],
    ['message', { conversation_id: 0, text_message: 'Appel manqué !' }],
    ['message', { conversation_id: 1, text_message: 'x' }],
    ['message', { ...conversationRef(), text_message: 'a\0b' }],
  ] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> message {}
    < 42["error","Param conversation_id introuvable"]
    > message {"conversation_id":3,"files":"file.txt"}
    < 42["error","Parameter missing"]
    > message {"conversation_id":0,"text_message":"Appel manqué !"}
    < 42["error","Conversation introuvable"]
    > message {"conversation_id":1,"text_message":"x"}
    < 42["error","Vous ne faites pas partie de cette conversation"]
    > message {"conversation_id":3,"text_message":"a\\u0000b"}
    < 42["error","Message invalide"]"
  `);
});

test('writing is sent with the e-mail address of a user, without one for a device, or rejected', async () => {
  expect(await requestAndReadFrames('ann', 'writing', { ...conversationRef(), is_writing: true }))
    .toMatchInlineSnapshot(`
    "> writing {"conversation_id":3,"is_writing":true}
    < 42["success","Writing sent"]
    < 42["writing",{"conversation_id":3,"device":false,"user":"ann@example.com","is_writing":true}]
    bob; bob, listening; cleo, without EIO; device: 42["writing",{"conversation_id":3,"device":false,"user":"ann@example.com","is_writing":true}]"
  `);
  expect(
    await requestAndReadFrames('device', 'writing', {
      conversation_id: String(conversation.legacyId),
      is_writing: false,
    }),
  ).toMatchInlineSnapshot(`
    "> writing {"conversation_id":"3","is_writing":false}
    < 42["success","Writing sent"]
    < 42["writing",{"conversation_id":3,"device":true,"is_writing":false}]
    ann; bob; bob, listening; cleo, without EIO: 42["writing",{"conversation_id":3,"device":true,"is_writing":false}]"
  `);
  const rows = [
    ['writing', {}],
    ['writing', conversationRef()],
    ['writing', { conversation_id: 1, is_writing: true }],
  ] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> writing {}
    < 42["error","Parameter missing"]
    > writing {"conversation_id":3}
    < 42["error","Parameter missing"]
    > writing {"conversation_id":1,"is_writing":true}
    < 42["error","Vous ne faite pas partie de cette conversation"]"
  `);
});

test('webrtc_config carries credentials or servers', async () => {
  const rows = [['webrtc_credentials'], ['webrtc_stun_info'], ['webrtc_turn_info']] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> webrtc_credentials
    < 42["webrtc_config",{"username":"<time>:3False","password":"<base64>"}]
    > webrtc_stun_info
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]
    > webrtc_turn_info
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]"
  `);
  expect(await runDialogue(clientOf('device'), ['webrtc_credentials'])).toMatchInlineSnapshot(`
    "> webrtc_credentials
    < 42["webrtc_config",{"username":"<time>:2True","password":"<base64>"}]"
  `);
});

test('webrtc_forward is sent on two channels to a client with EIO, on one to a client without', async () => {
  const forward = (sender: string, recipients: readonly string[], payload: object) =>
    runDialogueAndReadFrames(sender, recipients, 'webrtc_forward', payload);
  const offer = { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } };
  expect(await forward('ann', ['bob', 'bob'], { user_id: String(bob.legacyId), message: offer }))
    .toMatchInlineSnapshot(`
    "> webrtc_forward {"user_id":"4","message":{"type":"sdp","data":{"type":"offer","sdp":"v=0"}}}
    < 42["success","Message forwarded"]
    bob: 42["webrtc_forward",{"sender_id":3,"is_device":false,"content":{"user_id":"4","message":{"type":"sdp","data":{"type":"offer","sdp":"v=0"}}}}]
    bob: 42["webrtc_config",{"sender_id":3,"is_device":false,"content":{"user_id":"4","message":{"type":"sdp","data":{"type":"offer","sdp":"v=0"}}}}]"
  `);
  expect(await forward('device', ['cleo, without EIO'], { message: 'CALLING', email: cleo.login }))
    .toMatchInlineSnapshot(`
    "> webrtc_forward {"message":"CALLING","email":"cleo@example.com"}
    < 42["success","Message forwarded"]
    cleo, without EIO: 42["webrtc_forward",{"sender_id":2,"is_device":true,"content":{"message":"CALLING","email":"cleo@example.com"}}]"
  `);
  expect(await forward('ann', ['device', 'device'], { device_id: device.legacyId, message: null }))
    .toMatchInlineSnapshot(`
    "> webrtc_forward {"device_id":2,"message":null}
    < 42["success","Message forwarded"]
    device: 42["webrtc_forward",{"sender_id":3,"is_device":false,"content":{"device_id":2,"message":null}}]
    device: 42["webrtc_config",{"sender_id":3,"is_device":false,"content":{"device_id":2,"message":null}}]"
  `);
  const dora = await createAccount('Dora');
  await createCircle(ann, dora);
  const rows = [
    ['webrtc_forward', { message: 'CALLING' }],
    ['webrtc_forward', { user_id: eve.legacyId }],
    ['webrtc_forward', { user_id: dora.legacyId }],
  ] as const;
  expect(await runDialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> webrtc_forward {"message":"CALLING"}
    < 42["error","Utilisateur introuvable"]
    > webrtc_forward {"user_id":1}
    < 42["error","Utilisateur introuvable"]
    > webrtc_forward {"user_id":6}
    < 42["error","Destinataire non connecte aux websockets"]"
  `);
});

test('conversation frames for quit and kick are sent to the room, and a message is replayed after its author has left', async () => {
  expect(
    await requestAndReadFrames('cleo, without EIO', 'message', { ...conversationRef(), text_message: 'Bye' }),
  ).toContain('"Bye"');
  const lastMessageId = 26;
  expect(
    await readFrames(allClients, () =>
      runMutation(cleo, 'leaveConversation(conversationId: $id)', { id: conversation.id }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["conversation",{"event":"quit","user":"cleo@example.com","conversation_id":3}]"`,
  );
  const payload = { ...conversationRef(), after_message_id: lastMessageId - 1 };
  expect(await runDialogue(clientOf('ann'), ['join_conversation', payload])).toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3,"after_message_id":25}
    < 42["success","Vous avez rejoins la conversation : conversation_3"]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media":{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"}],"media":{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"}],"media":{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message_id":22,"event":"delete"}]
    < 42["message",{"conversation_id":3,"message":{"id":27,"link_id":7,"sent":"<date>","read":null,"content":"Bye","medias":0},"time":"<date>","sender":{"id":5,"email":"cleo@example.com","first_name":"Cleo","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  const remainingClients = allClients.filter((name) => name !== 'cleo, without EIO');
  expect(
    await readFrames(remainingClients, () =>
      runMutation(ann, 'kickFromConversation(conversationId: $id, email: $email)', {
        id: conversation.id,
        email: bob.login,
      }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; device: 42["conversation",{"event":"kick","user":"bob@example.com","from":"ann@example.com","conversation_id":3}]"`,
  );
});

test('a trimmed history and an exceeded limit are rejected', async () => {
  await keepNewest(database.db, 1);
  const payload = { ...conversationRef(), after_message_id: 1 };
  expect(await runDialogue(clientOf('ann'), ['join_conversation', payload])).toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3,"after_message_id":1}
    < 42["error","Historique indisponible"]"
  `);
  await using client = await connectClient('flooding');
  await request(client, 'authenticate', { token: eve.token });
  client.emit('webrtc_forward', { user_id: 1, message: 'x'.repeat(262_144) });
  expect(await client.next('42["error"')).toMatchInlineSnapshot(`"42["error","Trop de requetes"]"`);
});

test('circle frames for a removed device and for delete are sent to the room', async () => {
  const deviceClient = clientOf('device');
  const remainingClients = allClients.filter((name) => name !== 'device');
  const lastPackets: string[] = [];
  const removeDevice = async () => {
    clients.delete('device');
    await runMutation(ann, 'removeDevice(deviceId: $id)', { id: device.id });
    while (lastPackets.length < 3) lastPackets.push(await deviceClient.next());
  };
  expect(await readFrames(remainingClients, removeDevice)).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]"`,
  );
  // The end of its session and the event of its circle come from different topics, in either order.
  expect(lastPackets.toSorted().join('\n')).toMatchInlineSnapshot(`
    "41
    42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]
    42["error","User not found"]"
  `);
  expect(lastPackets.at(-1)).toBe('41');
  expect(
    await readFrames(remainingClients, () =>
      runMutation(ann, 'deleteCircle(circleId: $id)', { id: circle.id }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["circle",{"event":"delete","circle_id":2}]"`,
  );
});

test('a failing or overloaded server replies with an error', async () => {
  await using bridge = await startFakeBridge();
  await using client = await connectClient('failing server', 3, bridge.url);
  await request(client, 'authenticate', { token: 'user:7' });
  const lines: string[] = [];
  for (const code of ['LIMIT_EXCEEDED', 'UNAUTHENTICATED', 'INTERNAL', 'UNAVAILABLE'] as const) {
    bridge.operations['LegacyWriting'] = () => ({ code });
    const dialogue = await runDialogue(client, ['writing', { conversation_id: 1, is_writing: true }]);
    lines.push(`${code}: ${dialogue.split('\n').at(-1)}`);
  }
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "LIMIT_EXCEEDED: < 42["error","Trop de requetes"]
    UNAUTHENTICATED: < 42["error","Socket user introuvable"]
    INTERNAL: < 42["error","Erreur interne"]
    UNAVAILABLE: < 42["error","Erreur interne"]"
  `);
});

test('every row of the documentation was sent', () => {
  const errorsOf = (channel: string) =>
    [...(replies.get(channel) ?? [])]
      .filter((packet) => packet.startsWith('42["error"'))
      .map((packet) => String(JSON.parse(packet.slice(2))[1]));
  for (const { name, unauthenticatedError, missingFieldError, errors } of CHANNELS) {
    const texts = [unauthenticatedError, missingFieldError, ...errors.map(({ text }) => text)].filter(
      (text) => text !== null,
    );
    expect([name, ...errorsOf(name)]).toEqual(expect.arrayContaining([name, ...texts]));
  }
  const commonErrors = CHANNELS.flatMap(({ name }) => errorsOf(name));
  expect(commonErrors).toEqual(expect.arrayContaining(COMMON_ERRORS.map(({ text }) => text)));

  const receivedRows = new Set(
    received.filter(({ packet }) => packet.startsWith('42')).map(({ packet }) => rowOf(packet)),
  );
  const documentedRows = [
    ...Object.values(EVENT_SAMPLES).flatMap((samples) => samples.flatMap(({ event }) => framesOf(event))),
    ...EPHEMERAL_SAMPLES.flatMap(({ event }) =>
      framesOfEphemeral(event, ['webrtc_forward', 'webrtc_config']),
    ),
  ].map(({ channel, payload }) => rowOf(`42${JSON.stringify([channel, payload])}`));
  expect([...receivedRows]).toEqual(expect.arrayContaining(documentedRows));
});

test('every received frame matches the contract', () => {
  expect(received.length).toBeGreaterThan(500);
  expect(
    received.map(({ packet }) => findViolation(packet)).filter((violation) => violation !== undefined),
  ).toEqual([]);
});

test('every request receives an empty acknowledgement', () => {
  expect(received.filter(({ packet }) => /^43\d+\[\]$/.test(packet))).toHaveLength(requestCount);
});

test('a client that only listens receives no error', () => {
  const listenerPackets = received.filter(({ name }) =>
    ['bob, listening', 'bob', 'cleo, without EIO'].includes(name),
  );
  expect(listenerPackets.length).toBeGreaterThan(50);
  expect(listenerPackets.filter(({ packet }) => packet.startsWith('42["error"'))).toEqual([]);
});
