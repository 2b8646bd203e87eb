import { afterAll, beforeAll, expect, test } from 'vitest';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { CHANNELS, COMMON_REFUSALS } from '../../src/bridge/contract/channels.ts';
import { framesOf, framesOfEphemeral } from '../../src/bridge/contract/event-frames.ts';
import { trim } from '../../src/db/event-log.ts';
import type { Database } from '../../src/db/database.ts';
import { createCircle, createConversation, createGateway, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { fakeBridge } from '../bridge/fake-bridge.ts';
import { openTestDatabase } from '../harness/database.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { faultOf, rowOf } from './frame-shapes.ts';

// The whole wire as text: one scenario that triggers every row of the documentation. Ids are real, and differ between
// kinds. At the end every received frame is validated against the contract.

let database: Database;
let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let cleo: TestAccount;
let eve: TestAccount;
let machine: TestAccount;
let circle: Entity;
let talk: Entity;

/** Everybody who is connected, by the names in the snapshots. */
const clients = new Map<string, PacketSocket>();
/** Every packet received by any client. */
const heard: { readonly who: string; readonly packet: string }[] = [];
/** What was answered on each listened channel. */
const answers = new Map<string, Set<string>>();
let asked = 0;

const person = (name: string, birthday = '1995-12-12') =>
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
  eve = await person('Eve');
  const dan = await person('Dan');
  const others = await createCircle(eve, dan);
  const first = await createConversation(eve, others, dan);
  await createConversation(eve, others, dan);
  await (await createDevice(app, eve, others))[Symbol.asyncDispose]();
  await sendMessage(
    eve,
    first,
    'files',
    Array.from({ length: 15 }, (_, n) => `${n}.png`),
  );
  for (let n = 0; n < 20; n += 1) await sendMessage(eve, first, `${n}`);
  ann = await person('Ann');
  bob = await person('Bob');
  cleo = await person('Cleo');
  circle = await createCircle(ann, bob, cleo);
  talk = await createConversation(ann, circle, bob, cleo);
});

afterAll(async () => {
  for (const client of clients.values()) await client[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

async function open(who: string, protocol: 3 | 4 | 'none' = 3, url = app.url): Promise<PacketSocket> {
  const client = await openPacketSocket(url, protocol);
  client.socket.on('message', (data: Buffer) => heard.push({ who, packet: data.toString() }));
  return client;
}

/** Connects and stays, as a client of the account. */
async function enter(who: string, account: TestAccount, protocol: 3 | 4 | 'none' = 3): Promise<PacketSocket> {
  const client = await open(who, protocol);
  clients.set(who, client);
  await ask(client, 'authenticate', { token: account.token });
  return client;
}

async function ask(client: PacketSocket, channel: string, ...args: unknown[]): Promise<string[]> {
  asked += 1;
  const packets = await client.request(channel, ...args);
  const known = answers.get(channel) ?? new Set();
  for (const packet of packets) known.add(packet);
  answers.set(channel, known);
  return packets;
}

/** Returns a client's request, and its replies before the empty acknowledgement, as text. */
async function dialogue(
  client: PacketSocket,
  ...requests: readonly (readonly [string, ...unknown[]])[]
): Promise<string> {
  const lines: string[] = [];
  for (const [channel, ...args] of requests) {
    lines.push(`> ${[channel, ...args.map((argument) => JSON.stringify(argument))].join(' ')}`);
    for (const packet of await ask(client, channel, ...args)) lines.push(`< ${packet}`);
  }
  return steady(lines.join('\n'));
}

/** Returns the packets that an action sends to the named clients, per step; all others must receive none. */
async function told(to: readonly string[], act: () => Promise<unknown>): Promise<string> {
  await act();
  const hearers = new Map<string, string[]>();
  for (const who of to) {
    const packet = await clientOf(who).next();
    hearers.set(packet, [...(hearers.get(packet) ?? []), who]);
  }
  for (const [who, client] of clients)
    expect([who, ...(await ask(client, 'a channel that is not there'))]).toEqual([who]);
  return steady([...hearers].map(([packet, names]) => `${names.join('; ')}: ${packet}`).join('\n'));
}

function clientOf(who: string): PacketSocket {
  const client = clients.get(who);
  if (client === undefined) throw new Error(`${who} is not connected.`);
  return client;
}

/** Replaces only the values that differ between runs. */
const steady = (text: string): string =>
  text
    .replaceAll(/"\d{4}-\d\d-\d\dT(?!00:00:00")\d\d:\d\d:\d\d(\.\d{6})?"/g, '"<date>"')
    .replaceAll(/"(eyJ[^"]+)"/g, '"<token>"')
    .replaceAll(/"device-[0-9a-f]+"/g, '"<username>"')
    .replaceAll(/"username":"\d+(\.\d+)?:/g, '"username":"<time>:')
    .replaceAll(/"password":"[^"]{28}"/g, '"password":"<base64>"');

const run = async (account: TestAccount, field: string, variables: Record<string, unknown> = {}) => {
  const types: Record<string, string> = { id: 'ID!', allowed: 'Boolean!' };
  const declared = Object.keys(variables).map((name) => `$${name}: ${types[name] ?? 'String!'}`);
  const head = declared.length === 0 ? '' : `(${declared.join(', ')})`;
  const data = await account.graphql.run<Record<string, { id: string }>>(
    `mutation ${head} { ${field} { id } }`,
    variables,
  );
  return Object.values(data)[0]?.id ?? '';
};

async function upload(account: TestAccount, id: number, filename: string): Promise<number> {
  const body = new FormData();
  body.set('file', new Blob(['content']), filename);
  const headers = { authorization: account.token };
  return (await fetch(`${app.url}/media/upload/${id}`, { method: 'POST', body, headers })).status;
}

const inTalk = () => ({ conversation_id: talk.legacyId });
const inCircle = () => ({ circle_id: circle.legacyId });

test('before authenticate', async () => {
  await using client = await open('nobody');
  const channels = CHANNELS.map(({ name }) => [name, {}] as const);
  expect(await dialogue(client, ...channels)).toMatchInlineSnapshot(`
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

test('authenticate', async () => {
  await using client = await open('somebody');
  expect(
    await dialogue(
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

test('presence, and a device that is added', async () => {
  for (const [who, protocol] of [
    ['bob, listening', 3],
    ['bob', 4],
  ] as const) {
    const client = await enter(who, bob, protocol);
    await ask(client, 'join_circle', inCircle());
  }
  const both = ['bob, listening', 'bob'];
  expect(await told(both, () => enter('ann', ann))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"connect","user":"ann@example.com","circle_id":2}]"`,
  );
  const device = await told(both, async () => (machine = await createDevice(app, ann, circle)));
  expect(device).toMatchInlineSnapshot(`"bob, listening; bob: 42["device created",{"circle_id":2}]"`);
  expect(await told(both, () => enter('device', machine))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"device","type":"connect","device_id":2,"circle_id":2}]"`,
  );
  expect(await told(both, () => enter('cleo, without EIO', cleo, 'none'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"connect","user":"cleo@example.com","circle_id":2}]"`,
  );
  const leave = async (who: string) => {
    clientOf(who).socket.close();
    clients.delete(who);
  };
  expect(await told(both, () => leave('device'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]"`,
  );
  expect(await told(both, () => leave('cleo, without EIO'))).toMatchInlineSnapshot(
    `"bob, listening; bob: 42["circle",{"event":"disconnect","user":"cleo@example.com","circle_id":2}]"`,
  );
  await told(both, () => enter('device', machine));
  await told(both, () => enter('cleo, without EIO', cleo, 'none'));
});

test('join_circle, leave_circle', async () => {
  const rows = [
    ['join_circle', {}],
    ['join_circle', { circle_id: 0 }],
    ['join_circle', { circle_id: 1 }],
    ['join_circle', inCircle()],
    ['leave_circle', {}],
    ['leave_circle', inCircle()],
    ['join_circle', { circle_id: String(circle.legacyId) }],
  ] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
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
  expect(await dialogue(clientOf('device'), ['join_circle', inCircle()])).toMatchInlineSnapshot(`
    "> join_circle {"circle_id":2}
    < 42["success","Vous avez rejoins le cercle : circle_2"]"
  `);
  await ask(clientOf('cleo, without EIO'), 'join_circle', inCircle());
});

test('join_conversation, leave_conversation', async () => {
  const rows = [
    ['join_conversation', {}],
    ['join_conversation', { conversation_id: 1 }],
    ['join_conversation', { conversation_id: 'x' }],
    ['join_conversation', { ...inTalk(), after_message_id: 'x' }],
    ['join_conversation', inTalk()],
    ['leave_conversation', {}],
    ['leave_conversation', inTalk()],
    ['leave_conversation', { conversation_id: 1 }],
    ['join_conversation', JSON.stringify(inTalk())],
  ] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
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
  expect(await dialogue(clientOf('device'), ['join_conversation', inTalk()])).toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3}
    < 42["error","Vous ne faite pas partie de cette conversation"]"
  `);
  for (const who of ['bob', 'bob, listening', 'cleo, without EIO'])
    await ask(clientOf(who), 'join_conversation', inTalk());
});

const withoutDevice = ['ann', 'bob', 'bob, listening', 'cleo, without EIO'];
const everybody = [...withoutDevice, 'device'];

test('circle: update, join, quit, kick, and an update of the device', async () => {
  expect(
    await told(everybody, () =>
      run(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"update","circle_id":2}]"`,
  );
  const invited = await run(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: eve.login,
  });
  expect(
    await told(everybody, () => run(eve, 'acceptCircleInvitation(invitationId: $id)', { id: invited })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"join","user":"eve@example.com","circle_id":2}]"`,
  );
  expect(
    await told(everybody, () => run(eve, 'leaveCircle(circleId: $id)', { id: circle.id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"quit","user":"eve@example.com","circle_id":2}]"`,
  );
  const again = await run(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: eve.login,
  });
  await told(everybody, () => run(eve, 'acceptCircleInvitation(invitationId: $id)', { id: again }));
  expect(
    await told(everybody, () =>
      run(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: eve.login }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"kick","user":"eve@example.com","from":"ann@example.com","circle_id":2}]"`,
  );
  expect(
    await told(everybody, () =>
      run(ann, 'updateDevice(deviceId: $id, name: $name)', { id: machine.id, name: 'Hall' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["circle",{"event":"device","type":"update","device_id":2,"circle_id":2}]"`,
  );
});

test('circle_invite, and conversation: invite and promoted, to the newest connection only', async () => {
  const another = await createCircle(ann);
  expect(
    await told(['bob'], () =>
      run(ann, 'inviteToCircle(circleId: $id, email: $email)', { id: another.id, email: bob.login }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["circle_invite",{"event":"invite","circle_id":3,"circle_invite_id":6}]"`);
  let side = another;
  expect(
    await told(['cleo, without EIO'], async () => (side = await createConversation(ann, circle, cleo))),
  ).toMatchInlineSnapshot(`"cleo, without EIO: 42["conversation",{"event":"invite","conversation_id":4}]"`);
  expect(
    await told(['bob'], () =>
      run(ann, 'inviteToConversation(conversationId: $id, email: $email)', { id: side.id, email: bob.login }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["conversation",{"event":"invite","conversation_id":4}]"`);
  expect(
    await told(['bob'], () =>
      run(ann, 'promoteInConversation(conversationId: $id, email: $email)', {
        id: side.id,
        email: bob.login,
      }),
    ),
  ).toMatchInlineSnapshot(`"bob: 42["conversation",{"event":"promoted","conversation_id":4}]"`);
});

test('conversation: update, device add and remove', async () => {
  const rename = { id: talk.id, name: 'Chat' };
  const access = 'setDeviceAccess(conversationId: $id, allowed: $allowed)';
  const joins = () => ask(clientOf('device'), 'join_conversation', inTalk());
  expect(
    await told(withoutDevice, () => run(ann, 'updateConversation(conversationId: $id, name: $name)', rename)),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["conversation",{"event":"update","conversation_id":3}]"`,
  );
  expect(
    await told(withoutDevice, () => run(ann, access, { id: talk.id, allowed: true })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["conversation",{"event":"device","type":"add","conversation_id":3}]"`,
  );
  await joins();
  expect(
    await told(everybody, () => run(ann, access, { id: talk.id, allowed: false })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["conversation",{"event":"device","type":"remove","conversation_id":3}]"`,
  );
  await told(withoutDevice, () => run(ann, access, { id: talk.id, allowed: true }));
  await joins();
});

/** Runs an event whose frame other clients receive too. */
async function said(who: string, request: readonly [string, ...unknown[]]): Promise<string> {
  const others = everybody.filter((name) => name !== who);
  let asking = '';
  const frames = await told(others, async () => (asking = await dialogue(clientOf(who), request)));
  return `${asking}\n${frames}`;
}

test('message: M1 from a user and from a device', async () => {
  expect(await said('ann', ['message', { ...inTalk(), text_message: 'Ça va ? 😀' }])).toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"Ça va ? 😀"}
    < 42["success",{"received":true,"message_id":22}]
    < 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"\\u00c7a va ? \\ud83d\\ude00","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob: 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"Ça va ? 😀","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":22,"link_id":5,"sent":"<date>","read":null,"content":"\\u00c7a va ? \\ud83d\\ude00","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  expect(await said('device', ['message', { ...inTalk(), text_message: 'Bip', files: null }]))
    .toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"Bip","files":null}
    < 42["success",{"received":true,"message_id":23}]
    < 42["message",{"conversation_id":3,"message":{"id":23,"device_id":2,"sent":"<date>","read":null,"content":"Bip","medias":0},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[],"status":"done"}]
    ann; bob; bob, listening; cleo, without EIO: 42["message",{"conversation_id":3,"message":{"id":23,"device_id":2,"sent":"<date>","read":null,"content":"Bip","medias":0},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[],"status":"done"}]"
  `);
});

test('message and media: M2 and D1, with files and without', async () => {
  expect(await said('ann', ['message', { ...inTalk(), files: ['test.png', ['E621E1F8', 'C36C']] }]))
    .toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"files":["test.png",["E621E1F8","C36C"]]}
    < 42["media",{"media_list":[{"id":16,"filename":null,"extension":null,"identifier":"test.png","uploaded":"False"},{"id":17,"filename":null,"extension":null,"identifier":"{E621E1F8,C36C}","uploaded":"False"}],"message_id":24}]
    < 42["success",{"received":true,"message_id":24}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"status":"pending"}]
    bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"status":"pending"}]"
  `);
  expect(await said('ann', ['message', { ...inTalk(), text_message: 'None', files: [] }]))
    .toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"text_message":"None","files":[]}
    < 42["media",{"media_list":[],"message_id":25}]
    < 42["success",{"received":true,"message_id":25}]
    < 42["message",{"conversation_id":3,"message":{"id":25,"link_id":5,"sent":"<date>","read":null,"content":"None","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]
    bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":25,"link_id":5,"sent":"<date>","read":null,"content":"None","medias":0},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  expect(await said('device', ['message', { ...inTalk(), files: ['scan.pdf'] }])).toMatchInlineSnapshot(`
    "> message {"conversation_id":3,"files":["scan.pdf"]}
    < 42["media",{"media_list":[{"id":18,"filename":null,"extension":null,"identifier":"scan.pdf","uploaded":"False"}],"message_id":26}]
    < 42["success",{"received":true,"message_id":26}]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]
    ann; bob; bob, listening; cleo, without EIO: 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]"
  `);
});

test('message: M3 for a file that is not the last, for the last, and for that of a device', async () => {
  const arrives = (account: TestAccount, id: number, name: string) =>
    told(everybody, async () => expect(await upload(account, id, name)).toBe(200));
  expect(await arrives(ann, 16, '/storage/emulated/0/cake.png')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media":{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},"status":"done"}]"`,
  );
  expect(await arrives(ann, 17, 'E621E1F8,C36C')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"}],"media":{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"},"status":"done"}]"`,
  );
  expect(await arrives(machine, 18, 'scan.tar.gz')).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"}],"media":{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"},"status":"done"}]"`,
  );
});

test('message: M4 and M5', async () => {
  const id = 'Message:22';
  expect(
    await told(everybody, () =>
      run(ann, 'updateMessage(messageId: $id, text: $text)', { id, text: 'Ça va.' }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message_id":22,"event":"update"}]"`,
  );
  expect(
    await told(everybody, () => run(ann, 'deleteMessage(messageId: $id)', { id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["message",{"conversation_id":3,"message_id":22,"event":"delete"}]"`,
  );
});

test('message, refused', async () => {
  const rows = [
    ['message', {}],
    ['message', { ...inTalk(), files: 'file.txt' }],
    ['message', { conversation_id: 0, text_message: 'Appel manqué !' }],
    ['message', { conversation_id: 1, text_message: 'x' }],
    ['message', { ...inTalk(), text_message: 'a\0b' }],
  ] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
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

test('writing: W1 and W2', async () => {
  expect(await said('ann', ['writing', { ...inTalk(), is_writing: true }])).toMatchInlineSnapshot(`
    "> writing {"conversation_id":3,"is_writing":true}
    < 42["success","Writing sent"]
    < 42["writing",{"conversation_id":3,"device":false,"user":"ann@example.com","is_writing":true}]
    bob; bob, listening; cleo, without EIO; device: 42["writing",{"conversation_id":3,"device":false,"user":"ann@example.com","is_writing":true}]"
  `);
  expect(await said('device', ['writing', { conversation_id: String(talk.legacyId), is_writing: false }]))
    .toMatchInlineSnapshot(`
    "> writing {"conversation_id":"3","is_writing":false}
    < 42["success","Writing sent"]
    < 42["writing",{"conversation_id":3,"device":true,"is_writing":false}]
    ann; bob; bob, listening; cleo, without EIO: 42["writing",{"conversation_id":3,"device":true,"is_writing":false}]"
  `);
  const rows = [
    ['writing', {}],
    ['writing', inTalk()],
    ['writing', { conversation_id: 1, is_writing: true }],
  ] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> writing {}
    < 42["error","Parameter missing"]
    > writing {"conversation_id":3}
    < 42["error","Parameter missing"]
    > writing {"conversation_id":1,"is_writing":true}
    < 42["error","Vous ne faite pas partie de cette conversation"]"
  `);
});

test('webrtc_config', async () => {
  const rows = [['webrtc_credentials'], ['webrtc_stun_info'], ['webrtc_turn_info']] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> webrtc_credentials
    < 42["webrtc_config",{"username":"<time>:3False","password":"<base64>"}]
    > webrtc_stun_info
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]
    > webrtc_turn_info
    < 42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]"
  `);
  expect(await dialogue(clientOf('device'), ['webrtc_credentials'])).toMatchInlineSnapshot(`
    "> webrtc_credentials
    < 42["webrtc_config",{"username":"<time>:2True","password":"<base64>"}]"
  `);
});

test('webrtc_forward, to a client with EIO and to one without', async () => {
  const forward = async (who: string, to: readonly string[], payload: object) => {
    let asking = '';
    const frames = await told(
      to,
      async () => (asking = await dialogue(clientOf(who), ['webrtc_forward', payload])),
    );
    return `${asking}\n${frames}`;
  };
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
  expect(await forward('ann', ['device', 'device'], { device_id: machine.legacyId, message: null }))
    .toMatchInlineSnapshot(`
    "> webrtc_forward {"device_id":2,"message":null}
    < 42["success","Message forwarded"]
    device: 42["webrtc_forward",{"sender_id":3,"is_device":false,"content":{"device_id":2,"message":null}}]
    device: 42["webrtc_config",{"sender_id":3,"is_device":false,"content":{"device_id":2,"message":null}}]"
  `);
  const away = await person('Dora');
  await createCircle(ann, away);
  const rows = [
    ['webrtc_forward', { message: 'CALLING' }],
    ['webrtc_forward', { user_id: eve.legacyId }],
    ['webrtc_forward', { user_id: away.legacyId }],
  ] as const;
  expect(await dialogue(clientOf('ann'), ...rows)).toMatchInlineSnapshot(`
    "> webrtc_forward {"message":"CALLING"}
    < 42["error","Utilisateur introuvable"]
    > webrtc_forward {"user_id":1}
    < 42["error","Utilisateur introuvable"]
    > webrtc_forward {"user_id":6}
    < 42["error","Destinataire non connecte aux websockets"]"
  `);
});

test('conversation: quit and kick, and a message after its author has left', async () => {
  expect(await said('cleo, without EIO', ['message', { ...inTalk(), text_message: 'Bye' }])).toContain(
    '"Bye"',
  );
  const last = 26;
  expect(
    await told(everybody, () => run(cleo, 'leaveConversation(conversationId: $id)', { id: talk.id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO; device: 42["conversation",{"event":"quit","user":"cleo@example.com","conversation_id":3}]"`,
  );
  const again = { ...inTalk(), after_message_id: last - 1 };
  expect(await dialogue(clientOf('ann'), ['join_conversation', again])).toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3,"after_message_id":25}
    < 42["success","Vous avez rejoins la conversation : conversation_3"]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"status":"pending"}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media":{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message":{"id":24,"link_id":5,"sent":"<date>","read":null,"content":"","medias":2},"time":"<date>","sender":{"id":3,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[{"id":16,"filename":"cake","extension":".png","identifier":"test.png","uploaded":"True"},{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"}],"media":{"id":17,"filename":"E621E1F8,C36C","extension":"","identifier":"{E621E1F8,C36C}","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message":{"id":26,"device_id":2,"sent":"<date>","read":null,"content":"","medias":1},"time":"<date>","sender":{"id":2,"name":"Hall","created":"<date>","updated":"<date>","circle_id":2,"activated":true,"username":"<username>","is_online":true},"media_list":[{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"}],"media":{"id":18,"filename":"scan.tar","extension":".gz","identifier":"scan.pdf","uploaded":"True"},"status":"done"}]
    < 42["message",{"conversation_id":3,"message_id":22,"event":"update"}]
    < 42["message",{"conversation_id":3,"message_id":22,"event":"delete"}]
    < 42["message",{"conversation_id":3,"message":{"id":27,"link_id":7,"sent":"<date>","read":null,"content":"Bye","medias":0},"time":"<date>","sender":{"id":5,"email":"cleo@example.com","first_name":"Cleo","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"<date>","updated":"<date>","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}]"
  `);
  const remaining = everybody.filter((who) => who !== 'cleo, without EIO');
  expect(
    await told(remaining, () =>
      run(ann, 'kickFromConversation(conversationId: $id, email: $email)', { id: talk.id, email: bob.login }),
    ),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; device: 42["conversation",{"event":"kick","user":"bob@example.com","from":"ann@example.com","conversation_id":3}]"`,
  );
});

test('trimmed history, and exceeded limits', async () => {
  await trim(database.db, '1970-01-01T00:00:00.000Z', 1, 1_000);
  const place = { ...inTalk(), after_message_id: 1 };
  expect(await dialogue(clientOf('ann'), ['join_conversation', place])).toMatchInlineSnapshot(`
    "> join_conversation {"conversation_id":3,"after_message_id":1}
    < 42["error","Historique indisponible"]"
  `);
  await using client = await open('hasty');
  await ask(client, 'authenticate', { token: eve.token });
  client.emit('webrtc_forward', { user_id: 1, message: 'x'.repeat(262_144) });
  expect(await client.next('42["error"')).toMatchInlineSnapshot(`"42["error","Trop de requetes"]"`);
});

test('circle: a device that is removed, and delete', async () => {
  const device = clientOf('device');
  const inside = everybody.filter((who) => who !== 'device');
  const goodbye: string[] = [];
  const remove = async () => {
    clients.delete('device');
    await run(ann, 'removeDevice(deviceId: $id)', { id: machine.id });
    while (goodbye.length < 3) goodbye.push(await device.next());
  };
  expect(await told(inside, remove)).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]"`,
  );
  // The end of its session and the news of its circle come from different topics, in either order.
  expect(goodbye.toSorted().join('\n')).toMatchInlineSnapshot(`
    "41
    42["circle",{"event":"device","type":"disconnect","device_id":2,"circle_id":2}]
    42["error","User not found"]"
  `);
  expect(goodbye.at(-1)).toBe('41');
  expect(
    await told(inside, () => run(ann, 'deleteCircle(circleId: $id)', { id: circle.id })),
  ).toMatchInlineSnapshot(
    `"ann; bob; bob, listening; cleo, without EIO: 42["circle",{"event":"delete","circle_id":2}]"`,
  );
});

test('the refusals of a failing or overloaded server', async () => {
  await using fake = await fakeBridge();
  await using client = await open('of another server', 3, fake.url);
  await ask(client, 'authenticate', { token: 'user:7' });
  const lines: string[] = [];
  for (const code of ['LIMIT_EXCEEDED', 'UNAUTHENTICATED', 'INTERNAL', 'UNAVAILABLE'] as const) {
    fake.operations['LegacyWriting'] = () => ({ code });
    const dialog = await dialogue(client, ['writing', { conversation_id: 1, is_writing: true }]);
    lines.push(`${code}: ${dialog.split('\n').at(-1)}`);
  }
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "LIMIT_EXCEEDED: < 42["error","Trop de requetes"]
    UNAUTHENTICATED: < 42["error","Socket user introuvable"]
    INTERNAL: < 42["error","Erreur interne"]
    UNAVAILABLE: < 42["error","Erreur interne"]"
  `);
});

test('every row of the documentation was sent', () => {
  const errors = (channel: string) =>
    [...(answers.get(channel) ?? [])]
      .filter((packet) => packet.startsWith('42["error"'))
      .map((packet) => String(JSON.parse(packet.slice(2))[1]));
  for (const { name, anonymous, missing, refusals } of CHANNELS) {
    const texts = [anonymous, missing, ...refusals.map(({ text }) => text)].filter((text) => text !== null);
    expect([name, ...errors(name)]).toEqual(expect.arrayContaining([name, ...texts]));
  }
  const common = CHANNELS.flatMap(({ name }) => errors(name));
  expect(common).toEqual(expect.arrayContaining(COMMON_REFUSALS.map(({ text }) => text)));

  const rows = new Set(
    heard.filter(({ packet }) => packet.startsWith('42')).map(({ packet }) => rowOf(packet)),
  );
  const documented = [
    ...Object.values(EVENT_SAMPLES).flatMap((samples) => samples.flatMap(({ fact }) => framesOf(fact))),
    ...EPHEMERAL_SAMPLES.flatMap(({ fact }) => framesOfEphemeral(fact, ['webrtc_forward', 'webrtc_config'])),
  ].map(({ channel, payload }) => rowOf(`42${JSON.stringify([channel, payload])}`));
  expect([...rows]).toEqual(expect.arrayContaining(documented));
});

test('every received frame matches the contract', () => {
  expect(heard.length).toBeGreaterThan(500);
  expect(heard.map(({ packet }) => faultOf(packet)).filter((fault) => fault !== undefined)).toEqual([]);
});

test('every request got its empty acknowledgement', () => {
  expect(heard.filter(({ packet }) => /^43\d+\[\]$/.test(packet))).toHaveLength(asked);
});

test('a client that only listens receives no error', () => {
  const toListeners = heard.filter(({ who }) => ['bob, listening', 'bob', 'cleo, without EIO'].includes(who));
  expect(toListeners.length).toBeGreaterThan(50);
  expect(toListeners.filter(({ packet }) => packet.startsWith('42["error"'))).toEqual([]);
});
