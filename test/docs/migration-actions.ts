import { expect } from 'vitest';
import { createConversation, createDevice } from '../../src/testing/index.ts';
import type { LegacyClient, TestAccount } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openFixture } from './migration-fixtures.ts';
import type { MigrationFixture } from './migration-fixtures.ts';

/** The fixtures with members that join and leave. */
export interface MembersFixture extends MigrationFixture {
  readonly yan: TestAccount;
  readonly zoe: TestAccount;
  /** The device of the circle, once added. */
  device: TestAccount | undefined;
  /** The newest connection. */
  connection: LegacyClient | undefined;
}

type Action = (fixture: MembersFixture) => Promise<unknown>;

export async function openMembersFixture(): Promise<MembersFixture> {
  const base = await openFixture();
  const yan = await base.app.createAccount({ email: 'yan@example.com' });
  const zoe = await base.app.createAccount({ email: 'zoe@example.com' });
  const fixture: MembersFixture = {
    ...base,
    yan,
    zoe,
    device: undefined,
    connection: undefined,
    async [Symbol.asyncDispose]() {
      await fixture.device?.[Symbol.asyncDispose]();
      await base[Symbol.asyncDispose]();
    },
  };
  return fixture;
}

/** Preparations of a table, keyed by the action of its first row. */
export const preparations: Readonly<Record<string, Action>> = {
  async updateCircle(fixture) {
    await accept(fixture, fixture.yan);
    await addDevice(fixture);
    await connect(fixture, requireDevice(fixture));
  },
  'a user’s first connection': addDevice,
  inviteToCircle: ({ ann }) => runMutation(ann, 'createCircle(name: "Work")'),
  async updateConversation(fixture) {
    for (const invitee of [fixture.yan, fixture.zoe]) {
      await accept(fixture, invitee);
      await invite(fixture.ann, 'Conversation:12', invitee);
    }
    await addDevice(fixture);
  },
  inviteToConversation: ({ ann, circle }) => createConversation(ann, circle),
  'sendMessage, without files': addDeviceToConversation,
  'setTyping, of a user': addDeviceToConversation,
};

/** The actions of the rows in the tables of docs/migration.md. */
export const actions: Readonly<Record<string, Action>> = {
  updateCircle: ({ ann }) => runMutation(ann, 'updateCircle(circleId: "Circle:3", name: "Clan")'),
  acceptCircleInvitation: (fixture) => accept(fixture, fixture.zoe),
  leaveCircle: ({ zoe }) => runMutation(zoe, 'leaveCircle(circleId: "Circle:3")'),
  kickFromCircle: ({ ann, yan }) =>
    runMutation(ann, `kickFromCircle(circleId: "Circle:3", email: "${yan.login}")`),
  deleteCircle: ({ ann }) => runMutation(ann, 'deleteCircle(circleId: "Circle:3")'),
  inviteToCircle: ({ ann, bob }) =>
    runMutation(ann, `inviteToCircle(circleId: "Circle:4", email: "${bob.login}")`),

  addDevice,
  updateDevice: ({ ann }) => runMutation(ann, 'updateDevice(deviceId: "Device:4", name: "Hall")'),
  removeDevice: ({ ann }) => runMutation(ann, 'removeDevice(deviceId: "Device:4")'),
  'a user’s first connection': (fixture) => connect(fixture, fixture.ann),
  'the end of a user’s last connection': async (fixture) => fixture.connection?.close(),
  'a device’s first connection': (fixture) => connect(fixture, requireDevice(fixture)),
  'the end of a device’s last connection': async (fixture) => fixture.connection?.close(),

  updateConversation: ({ ann }) =>
    runMutation(ann, 'updateConversation(conversationId: "Conversation:12", name: "Chat")'),
  leaveConversation: ({ zoe }) => runMutation(zoe, 'leaveConversation(conversationId: "Conversation:12")'),
  kickFromConversation: ({ ann, yan }) =>
    runMutation(ann, `kickFromConversation(conversationId: "Conversation:12", email: "${yan.login}")`),
  'setDeviceAccess, to true': ({ ann }) => setDeviceAccess(ann, true),
  'setDeviceAccess, to false': ({ ann }) => setDeviceAccess(ann, false),
  inviteToConversation: ({ ann, bob }) => invite(ann, 'Conversation:13', bob),
  promoteInConversation: ({ ann, bob }) =>
    runMutation(ann, `promoteInConversation(conversationId: "Conversation:13", email: "${bob.login}")`),

  'sendMessage, without files': ({ ann, conversation }) => sendMessage(ann, conversation, 'Bonjour'),
  'sendMessage, of a device': (fixture) => sendMessage(requireDevice(fixture), fixture.conversation, 'Bip'),
  'sendMessage, two files to come': ({ ann, conversation }) =>
    sendMessage(ann, conversation, 'Tiens', ['cake.png', 'tea.png']),
  'an upload, not the last': (fixture) => upload(fixture, 60, 'cake.png'),
  'an upload, the last': (fixture) => upload(fixture, 61, 'tea.png'),
  updateMessage: ({ ann }) => runMutation(ann, 'updateMessage(messageId: "Message:40", text: "Bonsoir")'),
  deleteMessage: ({ ann }) => runMutation(ann, 'deleteMessage(messageId: "Message:40")'),

  'setTyping, of a user': ({ ann }) => setTyping(ann),
  'setTyping, of a device': (fixture) => setTyping(requireDevice(fixture)),
  sendSignal: ({ ann }) =>
    runMutation(ann, 'sendSignal(to: { userId: "User:8" }, content: { message: "CALLING" })', ''),
  async 'webrtc_forward of a legacy app'(fixture) {
    const client = await fixture.connectLegacy(fixture.ann);
    await client.push('webrtc_forward', { user_id: 8, message: 'CALLING' });
  },
};

async function runMutation(account: TestAccount, field: string, selection = '{ __typename }'): Promise<void> {
  await account.graphql.run(`mutation { ${field} ${selection} }`);
}

async function accept({ ann }: MembersFixture, invitee: TestAccount): Promise<void> {
  const { inviteToCircle } = await ann.graphql.run<{ inviteToCircle: { id: string } }>(
    `mutation { inviteToCircle(circleId: "Circle:3", email: "${invitee.login}") { id } }`,
  );
  await runMutation(invitee, `acceptCircleInvitation(invitationId: "${inviteToCircle.id}")`);
}

const invite = (account: TestAccount, conversationId: string, invitee: TestAccount): Promise<void> =>
  runMutation(
    account,
    `inviteToConversation(conversationId: "${conversationId}", email: "${invitee.login}")`,
  );

const setDeviceAccess = (account: TestAccount, allowed: boolean): Promise<void> =>
  runMutation(account, `setDeviceAccess(conversationId: "Conversation:12", allowed: ${allowed})`);

const setTyping = (account: TestAccount): Promise<void> =>
  runMutation(account, 'setTyping(conversationId: "Conversation:12", isTyping: true)', '');

async function addDevice(fixture: MembersFixture): Promise<void> {
  fixture.device = await createDevice(fixture.app, fixture.ann, fixture.circle);
}

async function addDeviceToConversation(fixture: MembersFixture): Promise<void> {
  await addDevice(fixture);
  await setDeviceAccess(fixture.ann, true);
}

function requireDevice({ device }: MembersFixture): TestAccount {
  if (device === undefined) throw new Error('The circle has no device yet.');
  return device;
}

async function connect(fixture: MembersFixture, account: TestAccount): Promise<void> {
  fixture.connection = await fixture.connectLegacy(account);
}

async function upload({ app, ann }: MembersFixture, id: number, name: string): Promise<void> {
  const body = new FormData();
  body.set('file', new Blob([name]), name);
  const headers = { authorization: `Bearer ${ann.token}` };
  const response = await fetch(`${app.url}/media/upload/${id}`, { method: 'POST', headers, body });
  expect(await response.json()).toEqual({ success: true });
}
