import { expect } from 'vitest';
import { createConversation, createDevice } from '../../src/testing/index.ts';
import type { LegacyClient, TestAccount } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openStage } from './migration-fixtures.ts';
import type { Stage } from './migration-fixtures.ts';

/** The fixtures with members that join and leave. */
export interface Cast extends Stage {
  readonly yan: TestAccount;
  readonly zoe: TestAccount;
  /** The device of the circle, once added. */
  device: TestAccount | undefined;
  /** The newest connection. */
  connection: LegacyClient | undefined;
}

type Happening = (cast: Cast) => Promise<unknown>;

export async function openCast(): Promise<Cast> {
  const stage = await openStage();
  const yan = await stage.app.createAccount({ email: 'yan@example.com' });
  const zoe = await stage.app.createAccount({ email: 'zoe@example.com' });
  const cast: Cast = {
    ...stage,
    yan,
    zoe,
    device: undefined,
    connection: undefined,
    async [Symbol.asyncDispose]() {
      await cast.device?.[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
  return cast;
}

/** Preparations before a table, by the name of its first row. */
export const given: Readonly<Record<string, Happening>> = {
  async updateCircle(cast) {
    await accept(cast, cast.yan);
    await addDevice(cast);
    await connect(cast, deviceIn(cast));
  },
  'a user’s first connection': addDevice,
  inviteToCircle: ({ ann }) => change(ann, 'createCircle(name: "Work")'),
  async updateConversation(cast) {
    for (const guest of [cast.yan, cast.zoe]) {
      await accept(cast, guest);
      await invite(cast.ann, 'Conversation:12', guest);
    }
    await addDevice(cast);
  },
  inviteToConversation: ({ ann, circle }) => createConversation(ann, circle),
  'sendMessage, without files': addDeviceToTalk,
  'setTyping, of a user': addDeviceToTalk,
};

/** The actions of the rows in the tables of docs/migration.md. */
export const happenings: Readonly<Record<string, Happening>> = {
  updateCircle: ({ ann }) => change(ann, 'updateCircle(circleId: "Circle:3", name: "Clan")'),
  acceptCircleInvitation: (cast) => accept(cast, cast.zoe),
  leaveCircle: ({ zoe }) => change(zoe, 'leaveCircle(circleId: "Circle:3")'),
  kickFromCircle: ({ ann, yan }) =>
    change(ann, `kickFromCircle(circleId: "Circle:3", email: "${yan.login}")`),
  deleteCircle: ({ ann }) => change(ann, 'deleteCircle(circleId: "Circle:3")'),
  inviteToCircle: ({ ann, bob }) =>
    change(ann, `inviteToCircle(circleId: "Circle:4", email: "${bob.login}")`),

  addDevice,
  updateDevice: ({ ann }) => change(ann, 'updateDevice(deviceId: "Device:4", name: "Hall")'),
  removeDevice: ({ ann }) => change(ann, 'removeDevice(deviceId: "Device:4")'),
  'a user’s first connection': (cast) => connect(cast, cast.ann),
  'the end of a user’s last connection': async (cast) => cast.connection?.close(),
  'a device’s first connection': (cast) => connect(cast, deviceIn(cast)),
  'the end of a device’s last connection': async (cast) => cast.connection?.close(),

  updateConversation: ({ ann }) =>
    change(ann, 'updateConversation(conversationId: "Conversation:12", name: "Chat")'),
  leaveConversation: ({ zoe }) => change(zoe, 'leaveConversation(conversationId: "Conversation:12")'),
  kickFromConversation: ({ ann, yan }) =>
    change(ann, `kickFromConversation(conversationId: "Conversation:12", email: "${yan.login}")`),
  'setDeviceAccess, to true': ({ ann }) => letIn(ann, true),
  'setDeviceAccess, to false': ({ ann }) => letIn(ann, false),
  inviteToConversation: ({ ann, bob }) => invite(ann, 'Conversation:13', bob),
  promoteInConversation: ({ ann, bob }) =>
    change(ann, `promoteInConversation(conversationId: "Conversation:13", email: "${bob.login}")`),

  'sendMessage, without files': ({ ann, conversation }) => sendMessage(ann, conversation, 'Bonjour'),
  'sendMessage, of a device': (cast) => sendMessage(deviceIn(cast), cast.conversation, 'Bip'),
  'sendMessage, two files to come': ({ ann, conversation }) =>
    sendMessage(ann, conversation, 'Tiens', ['cake.png', 'tea.png']),
  'an upload, not the last': (cast) => upload(cast, 60, 'cake.png'),
  'an upload, the last': (cast) => upload(cast, 61, 'tea.png'),
  updateMessage: ({ ann }) => change(ann, 'updateMessage(messageId: "Message:40", text: "Bonsoir")'),
  deleteMessage: ({ ann }) => change(ann, 'deleteMessage(messageId: "Message:40")'),

  'setTyping, of a user': ({ ann }) => type(ann),
  'setTyping, of a device': (cast) => type(deviceIn(cast)),
  sendSignal: ({ ann }) =>
    change(ann, 'sendSignal(to: { userId: "User:8" }, content: { message: "CALLING" })', ''),
  async 'webrtc_forward of a legacy app'(cast) {
    const client = await cast.old(cast.ann);
    await client.push('webrtc_forward', { user_id: 8, message: 'CALLING' });
  },
};

async function change(account: TestAccount, field: string, selection = '{ __typename }'): Promise<void> {
  await account.graphql.run(`mutation { ${field} ${selection} }`);
}

async function accept({ ann }: Cast, guest: TestAccount): Promise<void> {
  const { inviteToCircle } = await ann.graphql.run<{ inviteToCircle: { id: string } }>(
    `mutation { inviteToCircle(circleId: "Circle:3", email: "${guest.login}") { id } }`,
  );
  await change(guest, `acceptCircleInvitation(invitationId: "${inviteToCircle.id}")`);
}

const invite = (by: TestAccount, conversationId: string, guest: TestAccount): Promise<void> =>
  change(by, `inviteToConversation(conversationId: "${conversationId}", email: "${guest.login}")`);

const letIn = (by: TestAccount, allowed: boolean): Promise<void> =>
  change(by, `setDeviceAccess(conversationId: "Conversation:12", allowed: ${allowed})`);

const type = (account: TestAccount): Promise<void> =>
  change(account, 'setTyping(conversationId: "Conversation:12", isTyping: true)', '');

async function addDevice(cast: Cast): Promise<void> {
  cast.device = await createDevice(cast.app, cast.ann, cast.circle);
}

async function addDeviceToTalk(cast: Cast): Promise<void> {
  await addDevice(cast);
  await letIn(cast.ann, true);
}

function deviceIn({ device }: Cast): TestAccount {
  if (device === undefined) throw new Error('There is no device yet.');
  return device;
}

async function connect(cast: Cast, account: TestAccount): Promise<void> {
  cast.connection = await cast.old(account);
}

async function upload({ app, ann }: Cast, id: number, name: string): Promise<void> {
  const body = new FormData();
  body.set('file', new Blob([name]), name);
  const headers = { authorization: `Bearer ${ann.token}` };
  const response = await fetch(`${app.url}/media/upload/${id}`, { method: 'POST', headers, body });
  expect(await response.json()).toEqual({ success: true });
}
