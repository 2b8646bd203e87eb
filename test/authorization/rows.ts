import type { ErrorCode } from '../../src/errors.ts';
import { ACTOR_NAMES, WITHOUT_SESSION } from './actors.ts';
import type { ActorName } from './actors.ts';

/**
 * The result of an operation: `yes` if it is allowed, `absent` if its root field is null as for an unknown id, `empty` if
 * the object is shown without what was selected, a code, or the text that a legacy client receives on `error`.
 */
export type Outcome = 'yes' | 'absent' | 'empty' | ErrorCode | (string & {});

/** Global ids of the objects of a fixture, and the e-mail addresses and credentials of its accounts. */
export interface Ids {
  readonly circle: string;
  readonly conversation: string;
  readonly admin: string;
  readonly device: string;
  readonly membership: string;
  readonly invitation: string;
  readonly participant: string;
  /** A message of the admin, and its uploaded file. */
  readonly message: string;
  readonly media: string;
  /** A call in progress, and the admin as its participant. */
  readonly call: string;
  readonly callParticipant: string;
  /** The message of the caller, and its file that is not uploaded yet; those of the admin for a caller without one. */
  readonly ownMessage: string;
  readonly ownMedia: string;
  /** A resumable upload of the admin that has not arrived. */
  readonly upload: string;
  /** The path of the uploaded file, signed for the caller: `Media.url`, whether the caller may query it or not. */
  readonly mediaUrl: string;
}

export interface Accounts {
  /** E-mail addresses. */
  readonly admin: string;
  readonly participant: string;
  readonly member: string;
  readonly outsider: string;
  /** An address without an account, which differs from call to call. */
  readonly unused: string;
  readonly device: { readonly username: string; readonly password: string };
}

type CreateText = (ids: Ids, accounts: Accounts) => string;

export type Operation =
  | { readonly type: 'query'; readonly document: CreateText }
  | {
      readonly type: 'subscription';
      readonly document: CreateText;
      /** A mutation with which a subscriber that has access causes an item; unless the stream starts with one. */
      readonly trigger?: (ids: Ids, self: string, attempt: number) => string;
    }
  | { readonly type: 'mutation' | 'upload'; readonly document: CreateText; readonly isDestructive: boolean }
  | { readonly type: 'channel'; readonly channel: string; readonly payload: (ids: Ids) => object }
  | {
      readonly type: 'http';
      readonly method: 'GET' | 'POST';
      readonly path: (ids: Ids) => string;
      readonly isWithoutToken?: boolean;
    }
  | {
      readonly type: 'tus';
      readonly method: 'POST' | 'HEAD' | 'PATCH' | 'DELETE';
      /** The media of a new upload, or the id of an upload. */
      readonly id: (ids: Ids) => string;
    };

export interface Row {
  /** The field, channel or path, as the schema, the table of channels or the router has it. */
  readonly name: string;
  /** Distinguishes the rows of a name. */
  readonly variant?: string;
  readonly operation: Operation;
  readonly outcomes: Readonly<Record<ActorName, Outcome>>;
  /** Whether the outcome for an object that the caller may not see differs from that of an unknown id. */
  readonly revealsExistence?: boolean;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

const PASSWORD = 'correct horse';
const MEMBERS = 'member participant admin device';
const PARTICIPANTS = 'participant admin device';
const DEVICES = 'device otherDevice';

/** Outcomes, each with the names of its actors. Those without a session are UNAUTHENTICATED unless they are named. */
type Outcomes = Readonly<Partial<Record<Outcome, string>>>;

/** Completes the outcomes of all actors with `otherwise`. Throws if an actor has two. */
function complete(outcomes: Outcomes, otherwise: Outcome, unauthenticated: Outcome): Row['outcomes'] {
  const found = new Map<string, Outcome>();
  for (const [outcome, names] of Object.entries(outcomes)) {
    for (const name of names?.split(' ') ?? []) {
      if (found.has(name)) throw new Error(`${name} has two outcomes.`);
      found.set(name, outcome);
    }
  }
  const entries = ACTOR_NAMES.map((name): [ActorName, Outcome] => [
    name,
    found.get(name) ?? (WITHOUT_SESSION.includes(name) ? unauthenticated : otherwise),
  ]);
  return Object.fromEntries(entries) as Row['outcomes'];
}

const splitName = (text: string): Pick<Row, 'name' | 'variant'> => {
  const [name = '', variant] = text.split(': ');
  return variant === undefined ? { name } : { name, variant };
};

const createRow = (
  operation: Operation,
  title: string,
  outcomes: Outcomes,
  otherwise: Outcome = 'NOT_FOUND',
  unauthenticated: Outcome = 'UNAUTHENTICATED',
): Row => ({
  ...splitName(title),
  operation,
  outcomes: complete(outcomes, otherwise, unauthenticated),
});

const query = (
  title: string,
  document: CreateText,
  outcomes: Outcomes,
  otherwise?: Outcome,
  unauthenticated?: Outcome,
): Row => createRow({ type: 'query', document }, title, outcomes, otherwise, unauthenticated);

/** A mutation that may run several times on the same objects. */
const mutation = (
  title: string,
  document: CreateText,
  outcomes: Outcomes,
  otherwise?: Outcome,
  unauthenticated?: Outcome,
): Row =>
  createRow(
    { type: 'mutation', document: (...args) => `mutation { ${document(...args)} }`, isDestructive: false },
    title,
    outcomes,
    otherwise,
    unauthenticated,
  );

/** A mutation that each caller who may run it needs new objects for. */
const destructiveMutation = (
  title: string,
  document: CreateText,
  outcomes: Outcomes,
  otherwise?: Outcome,
): Row =>
  createRow(
    { type: 'mutation', document: (...args) => `mutation { ${document(...args)} }`, isDestructive: true },
    title,
    outcomes,
    otherwise,
  );

const subscription = (
  title: string,
  document: CreateText,
  outcomes: Outcomes,
  otherwise?: Outcome,
  trigger?: (ids: Ids, self: string, attempt: number) => string,
): Row =>
  createRow(
    {
      type: 'subscription',
      document: (...args) => `subscription { ${document(...args)} }`,
      ...(trigger === undefined ? {} : { trigger }),
    },
    title,
    outcomes,
    otherwise,
  );

const UNKNOWN_SOCKET = 'Socket user introuvable';

const channel = (
  title: string,
  payload: (ids: Ids) => object,
  outcomes: Outcomes,
  otherwise: Outcome = 'yes',
  unauthenticated: Outcome = UNKNOWN_SOCKET,
): Row => {
  const { name } = splitName(title);
  return createRow({ type: 'channel', channel: name, payload }, title, outcomes, otherwise, unauthenticated);
};

const http = (title: string, path: (ids: Ids) => string, outcomes: Outcomes, otherwise?: Outcome): Row => {
  const method = title.startsWith('POST') ? 'POST' : 'GET';
  return createRow({ type: 'http', method, path }, title, outcomes, otherwise);
};

const resumable = (
  method: Extract<Operation, { type: 'tus' }>['method'],
  variant: string,
  id: (ids: Ids) => string,
  outcomes: Outcomes,
): Row => createRow({ type: 'tus', method, id }, `${method} /media/resumable/: ${variant}`, outcomes);

const node = (type: string, id: keyof Ids, outcomes: Outcomes): Row =>
  query(`node: ${type}`, (ids) => `{ node(id: "${ids[id]}") { id } }`, outcomes, 'absent');

/** A field that depends on the caller. The path is a query with the field at its end. */
const field = (title: string, path: CreateText, outcomes: Outcomes): Row =>
  query(title, path, outcomes, 'absent');

const throughInvitation = (selection: string): CreateText => {
  return ({ invitation }) =>
    `{ node(id: "${invitation}") { ... on CircleInvitation { circle { ${selection} } } } }`;
};
const throughConversation = (selection: string): CreateText => {
  return ({ conversation }) => `{ node(id: "${conversation}") { ... on Conversation { ${selection} } } }`;
};
const throughUser = (selection: string): CreateText => {
  return ({ admin }) => `{ node(id: "${admin}") { ... on User { ${selection} } } }`;
};

const legacyId = (id: string): number => Number(id.split(':')[1]);

const queries: readonly Row[] = [
  query('me', () => '{ me { __typename } }', {}, 'yes'),
  query('circles', () => '{ circles { nodes { id } } }', { empty: 'invitee former' }, 'yes'),
  query('circle', ({ circle }) => `{ circle(id: "${circle}") { id name } }`, { yes: MEMBERS }),
  query('conversation', ({ conversation }) => `{ conversation(id: "${conversation}") { id name } }`, {
    yes: PARTICIPANTS,
  }),
  query('message', ({ message }) => `{ message(id: "${message}") { id text } }`, { yes: PARTICIPANTS }),
  query('calls', () => '{ calls { id } }', { absent: 'outsider invitee former member otherDevice' }, 'yes'),
  query(
    'calls: of a conversation',
    ({ conversation }) => `{ calls(conversationId: "${conversation}") { id } }`,
    {
      yes: PARTICIPANTS,
    },
  ),
  query('webrtc: servers', () => '{ webrtc { iceServers { urls } } }', {}, 'yes', 'yes'),
  query('webrtc: credentials', () => '{ webrtc { credentials { username } } }', {}, 'yes'),
  node('User', 'admin', { yes: MEMBERS }),
  node('Device', 'device', { yes: MEMBERS }),
  node('Circle', 'circle', { yes: MEMBERS }),
  node('CircleMembership', 'membership', { yes: MEMBERS }),
  node('CircleInvitation', 'invitation', { yes: `invitee ${MEMBERS}` }),
  node('Conversation', 'conversation', { yes: PARTICIPANTS }),
  node('Participant', 'participant', { yes: PARTICIPANTS }),
  node('Message', 'message', { yes: PARTICIPANTS }),
  node('Media', 'media', { yes: PARTICIPANTS }),
  node('Call', 'call', { yes: PARTICIPANTS }),
  node('CallParticipant', 'callParticipant', { yes: PARTICIPANTS }),
  query(
    'nodes',
    ({ circle, message }) => `{ nodes(ids: ["${circle}", "${message}"]) { id } }`,
    { yes: MEMBERS },
    'absent',
  ),
];

const fields: readonly Row[] = [
  field('User.circles', throughUser('circles { nodes { id } }'), {
    yes: 'admin',
    empty: 'member participant device',
  }),
  field(
    'User.invitations',
    ({ invitation }) =>
      `{ node(id: "${invitation}") { ... on CircleInvitation { user { invitations { nodes { id } } } } } }`,
    { yes: 'invitee', empty: MEMBERS },
  ),
  field('User.emailVerification', throughUser('emailVerification { isVerified }'), {
    yes: 'admin',
    empty: 'member participant device',
  }),
  field('User.invitationBlocks', throughUser('invitationBlocks { everyone }'), {
    yes: 'admin',
    empty: 'member participant device',
  }),
  field('InvitationBlocks.users', throughUser('invitationBlocks { users { id } }'), {
    empty: 'admin member participant device',
  }),
  field('Circle.eventCursor', throughInvitation('eventCursor'), { yes: `invitee ${MEMBERS}` }),
  field('Circle.myRole', throughInvitation('myRole'), {
    yes: 'member participant admin',
    empty: 'invitee device',
  }),
  field('Circle.device', throughInvitation('device { id }'), { yes: MEMBERS, empty: 'invitee' }),
  field('Circle.members', throughInvitation('members { nodes { id } }'), { yes: MEMBERS, empty: 'invitee' }),
  field('Circle.invitations', throughInvitation('invitations { nodes { id } }'), {
    yes: MEMBERS,
    empty: 'invitee',
  }),
  field('Circle.conversations', throughInvitation('conversations { nodes { id } }'), {
    yes: PARTICIPANTS,
    empty: 'invitee member',
  }),
  field(
    'CircleInvitation.email',
    ({ invitation }) => `{ node(id: "${invitation}") { ... on CircleInvitation { email } } }`,
    { yes: `invitee ${MEMBERS}` },
  ),
  field(
    'CircleInvitation.user: birthday',
    ({ invitation }) => `{ node(id: "${invitation}") { ... on CircleInvitation { user { birthday } } } }`,
    { yes: 'invitee', empty: MEMBERS },
  ),
  field(
    'CircleInvitation.invitedBy: birthday',
    ({ invitation }) =>
      `{ node(id: "${invitation}") { ... on CircleInvitation { invitedBy { birthday } } } }`,
    { yes: MEMBERS, empty: 'invitee' },
  ),
  field('Conversation.eventCursor', throughConversation('eventCursor'), { yes: PARTICIPANTS }),
  field('Conversation.myRole', throughConversation('myRole'), {
    yes: 'participant admin',
    empty: 'device',
  }),
  field('Conversation.unreadCount', throughConversation('unreadCount'), { yes: PARTICIPANTS }),
  field('Conversation.lastReadMessage', throughConversation('lastReadMessage { id }'), {
    yes: PARTICIPANTS,
  }),
  field('Conversation.deviceLastReadMessage', throughConversation('deviceLastReadMessage { id }'), {
    yes: PARTICIPANTS,
  }),
  field(
    'Participant.lastReadMessage',
    ({ participant }) => `{ node(id: "${participant}") { ... on Participant { lastReadMessage { id } } } }`,
    { yes: PARTICIPANTS },
  ),
  field('Conversation.participants', throughConversation('participants { nodes { id } }'), {
    yes: PARTICIPANTS,
  }),
  field('Conversation.messages', throughConversation('messages { nodes { text } }'), { yes: PARTICIPANTS }),
  field('Media.url', ({ media }) => `{ node(id: "${media}") { ... on Media { url } } }`, {
    yes: PARTICIPANTS,
  }),
  field('Media.message', ({ media }) => `{ node(id: "${media}") { ... on Media { message { text } } } }`, {
    yes: PARTICIPANTS,
  }),
];

const mutations: readonly Row[] = [
  mutation(
    'createAccount',
    (_ids, { unused }) =>
      `createAccount(input: { email: "${unused}", password: "${PASSWORD}", firstName: "New", lastName: "" }) { user { id } }`,
    {},
    'yes',
    'yes',
  ),
  mutation(
    'login',
    (_ids, { admin }) => `login(email: "${admin}", password: "${PASSWORD}") { user { id } }`,
    {},
    'yes',
    'yes',
  ),
  mutation(
    'loginDevice',
    (_ids, { device: { username, password } }) =>
      `loginDevice(username: "${username}", password: "${password}") { device { id } }`,
    {},
    'yes',
    'yes',
  ),
  destructiveMutation('logout', () => 'logout', {}, 'yes'),
  destructiveMutation('logoutEverywhere', () => 'logoutEverywhere', {}, 'yes'),
  mutation('refreshToken', () => 'refreshToken { actor { __typename } }', {}, 'yes'),
  mutation(
    'updateAccount',
    () => 'updateAccount(input: { birthday: "2000-01-01" }) { id }',
    { FORBIDDEN: DEVICES },
    'yes',
  ),
  destructiveMutation(
    'changePassword',
    () => `changePassword(current: "${PASSWORD}", next: "another horse") { id }`,
    { FORBIDDEN: DEVICES },
    'yes',
  ),
  destructiveMutation(
    'deleteAccount',
    () => `deleteAccount(password: "${PASSWORD}") { id }`,
    { FORBIDDEN: DEVICES },
    'yes',
  ),
  mutation('createCircle', () => 'createCircle(name: "New") { id }', { FORBIDDEN: DEVICES }, 'yes'),
  mutation('updateCircle', ({ circle }) => `updateCircle(circleId: "${circle}", name: "Renamed") { id }`, {
    yes: 'member participant admin',
    FORBIDDEN: 'device',
  }),
  destructiveMutation('deleteCircle', ({ circle }) => `deleteCircle(circleId: "${circle}") { id }`, {
    yes: 'admin',
    FORBIDDEN: 'member participant device',
  }),
  destructiveMutation('leaveCircle', ({ circle }) => `leaveCircle(circleId: "${circle}") { id }`, {
    yes: 'member participant admin',
    FORBIDDEN: 'device',
  }),
  destructiveMutation(
    'kickFromCircle: another member',
    ({ circle }, { participant }) => `kickFromCircle(circleId: "${circle}", email: "${participant}") { id }`,
    { yes: 'admin', FORBIDDEN: 'member participant device' },
  ),
  mutation(
    'kickFromCircle: the admin',
    ({ circle }, { admin }) => `kickFromCircle(circleId: "${circle}", email: "${admin}") { id }`,
    { FORBIDDEN: 'member participant admin device' },
  ),
  destructiveMutation(
    'inviteToCircle',
    ({ circle }, { outsider }) => `inviteToCircle(circleId: "${circle}", email: "${outsider}") { id }`,
    { yes: 'member participant admin', FORBIDDEN: 'device' },
  ),
  destructiveMutation(
    'inviteToCircle: an address without an account',
    ({ circle }, { unused }) => `inviteToCircle(circleId: "${circle}", email: "${unused}") { id }`,
    { yes: 'member participant admin', FORBIDDEN: 'device' },
  ),
  destructiveMutation(
    'blockInvitations: of a user',
    ({ admin }) => `blockInvitations(userId: "${admin}") { id }`,
    { yes: 'invitee member participant', INVALID_INPUT: 'admin', FORBIDDEN: DEVICES },
  ),
  destructiveMutation(
    'blockInvitations: of everyone',
    () => 'blockInvitations { id }',
    { FORBIDDEN: DEVICES },
    'yes',
  ),
  mutation('unblockInvitations', () => 'unblockInvitations { id }', { FORBIDDEN: DEVICES }, 'yes'),
  mutation('sendVerificationEmail: without MAIL_URL', () => 'sendVerificationEmail { id }', {}, 'FORBIDDEN'),
  mutation(
    'verifyEmail: with a wrong token',
    () => 'verifyEmail(token: "wrong") { id }',
    { FORBIDDEN: DEVICES },
    'INVALID_INPUT',
  ),
  destructiveMutation(
    'acceptCircleInvitation',
    ({ invitation }) => `acceptCircleInvitation(invitationId: "${invitation}") { id }`,
    { yes: 'invitee', FORBIDDEN: MEMBERS },
  ),
  destructiveMutation(
    'declineCircleInvitation',
    ({ invitation }) => `declineCircleInvitation(invitationId: "${invitation}") { id }`,
    { yes: 'invitee', FORBIDDEN: MEMBERS },
  ),
  mutation(
    'addDevice: a second one',
    ({ circle }) => `addDevice(circleId: "${circle}", name: "Second") { device { id } }`,
    { CONFLICT: 'admin', FORBIDDEN: 'member participant device' },
  ),
  mutation('updateDevice', ({ device }) => `updateDevice(deviceId: "${device}", name: "Renamed") { id }`, {
    yes: 'admin device',
    FORBIDDEN: 'member participant',
  }),
  destructiveMutation('removeDevice', ({ device }) => `removeDevice(deviceId: "${device}") { id }`, {
    yes: 'admin',
    FORBIDDEN: 'member participant device',
  }),
  mutation(
    'createConversation',
    ({ circle }) => `createConversation(circleId: "${circle}", name: "New") { id }`,
    { yes: 'member participant admin', FORBIDDEN: 'device' },
  ),
  mutation(
    'updateConversation',
    ({ conversation }) => `updateConversation(conversationId: "${conversation}", name: "Renamed") { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  destructiveMutation(
    'inviteToConversation',
    ({ conversation }, { member }) =>
      `inviteToConversation(conversationId: "${conversation}", email: "${member}") { id }`,
    { yes: 'participant admin', FORBIDDEN: 'device' },
  ),
  destructiveMutation(
    'leaveConversation',
    ({ conversation }) => `leaveConversation(conversationId: "${conversation}") { id }`,
    { yes: 'participant admin', FORBIDDEN: 'device' },
  ),
  destructiveMutation(
    'kickFromConversation',
    ({ conversation }, { participant }) =>
      `kickFromConversation(conversationId: "${conversation}", email: "${participant}") { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  destructiveMutation(
    'promoteInConversation',
    ({ conversation }, { participant }) =>
      `promoteInConversation(conversationId: "${conversation}", email: "${participant}") { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  mutation(
    'setDeviceAccess: grant',
    ({ conversation }) => `setDeviceAccess(conversationId: "${conversation}", allowed: true) { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  destructiveMutation(
    'setDeviceAccess: remove',
    ({ conversation }) => `setDeviceAccess(conversationId: "${conversation}", allowed: false) { id }`,
    { yes: 'admin device', FORBIDDEN: 'participant' },
  ),
  mutation(
    'sendMessage',
    ({ conversation }) => `sendMessage(conversationId: "${conversation}", text: "New") { message { id } }`,
    { yes: PARTICIPANTS },
  ),
  mutation(
    'updateMessage: one’s own',
    ({ ownMessage }) => `updateMessage(messageId: "${ownMessage}", text: "Changed") { id }`,
    { yes: PARTICIPANTS, FORBIDDEN: 'former' },
  ),
  mutation(
    'updateMessage: the admin’s',
    ({ message }) => `updateMessage(messageId: "${message}", text: "Changed") { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  destructiveMutation(
    'deleteMessage: one’s own',
    ({ ownMessage }) => `deleteMessage(messageId: "${ownMessage}") { id }`,
    { yes: PARTICIPANTS, FORBIDDEN: 'former' },
  ),
  destructiveMutation(
    'deleteMessage: the admin’s',
    ({ message }) => `deleteMessage(messageId: "${message}") { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  mutation(
    'markRead',
    ({ conversation, message }) =>
      `markRead(conversationId: "${conversation}", messageId: "${message}") { id }`,
    { yes: PARTICIPANTS },
  ),
  mutation(
    'setReadReceipts',
    ({ conversation }) => `setReadReceipts(conversationId: "${conversation}", allowed: true) { id }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  mutation(
    'setTyping',
    ({ conversation }) => `setTyping(conversationId: "${conversation}", isTyping: true)`,
    { yes: PARTICIPANTS },
  ),
  createRow(
    {
      type: 'upload',
      document: ({ ownMedia }) =>
        `mutation ($file: Upload!) { uploadMedia(mediaId: "${ownMedia}", file: $file) { id } }`,
      isDestructive: false,
    },
    'uploadMedia: of one’s own message',
    { yes: PARTICIPANTS, FORBIDDEN: 'former' },
  ),
  createRow(
    {
      type: 'upload',
      document: ({ media }) =>
        `mutation ($file: Upload!) { uploadMedia(mediaId: "${media}", file: $file) { id } }`,
      isDestructive: false,
    },
    'uploadMedia: of the admin’s message',
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  mutation(
    'startUpload: of one’s own message',
    ({ ownMedia }) => `startUpload(mediaId: "${ownMedia}", filename: "a", size: 1) { url }`,
    { yes: PARTICIPANTS, FORBIDDEN: 'former' },
  ),
  mutation(
    'startUpload: of the admin’s message',
    ({ media }) => `startUpload(mediaId: "${media}", filename: "a", size: 1) { url }`,
    { yes: 'admin', FORBIDDEN: 'participant device' },
  ),
  mutation(
    'resumeUpload: with a ticket of another account',
    () => 'resumeUpload(ticket: "x.y") { received }',
    {},
    'INVALID_INPUT',
  ),
  mutation(
    'finishUpload: with a ticket of another account',
    () => 'finishUpload(ticket: "x.y") { id }',
    {},
    'INVALID_INPUT',
  ),
  mutation('sendSignal', ({ admin }) => `sendSignal(to: { userId: "${admin}" }, content: "ring")`, {
    yes: MEMBERS,
  }),
  mutation(
    'startCall',
    ({ conversation }) => `startCall(conversationId: "${conversation}") { call { id } }`,
    { yes: PARTICIPANTS },
  ),
  mutation('joinCall', ({ call }) => `joinCall(callId: "${call}") { call { id } }`, { yes: PARTICIPANTS }),
  destructiveMutation(
    'leaveCall: of the admin',
    ({ callParticipant }) => `leaveCall(participantId: "${callParticipant}") { id }`,
    { yes: 'admin' },
  ),
];

const subscriptions: readonly Row[] = [
  subscription(
    'signals',
    () => 'signals { content }',
    {},
    'yes',
    (_ids, self) => {
      const target = self.startsWith('User') ? 'userId' : 'deviceId';
      return `mutation { sendSignal(to: { ${target}: "${self}" }, content: "ring") }`;
    },
  ),
  subscription('inboxEvents', () => 'inboxEvents { __typename }', {}, 'yes'),
  subscription('circleEvents', ({ circle }) => `circleEvents(circleId: "${circle}") { __typename }`, {
    yes: MEMBERS,
  }),
  subscription('presence', ({ circle }) => `presence(circleId: "${circle}") { online }`, { yes: MEMBERS }),
  subscription(
    'conversationEvents',
    ({ conversation }) => `conversationEvents(conversationId: "${conversation}") { __typename }`,
    { yes: PARTICIPANTS },
  ),
  subscription(
    'callEvents',
    ({ conversation }) => `callEvents(conversationId: "${conversation}") { __typename }`,
    { yes: PARTICIPANTS },
  ),
  subscription(
    'typing',
    ({ conversation }) => `typing(conversationId: "${conversation}") { isTyping }`,
    { yes: PARTICIPANTS },
    'NOT_FOUND',
    ({ conversation }, _self, attempt) =>
      `mutation { setTyping(conversationId: "${conversation}", isTyping: ${attempt % 2 === 0}) }`,
  ),
  subscription(
    'readReceipts',
    ({ conversation }) => `readReceipts(conversationId: "${conversation}") { readerId }`,
    { yes: PARTICIPANTS },
  ),
  subscription(
    'mediaInspected',
    ({ conversation }) => `mediaInspected(conversationId: "${conversation}") { filename }`,
    { yes: PARTICIPANTS },
    'NOT_FOUND',
    ({ ownMedia }) => `mutation ($file: Upload!) { uploadMedia(mediaId: "${ownMedia}", file: $file) { id } }`,
  ),
];

const NOT_IN_CONVERSATION = 'Vous ne faite pas partie de cette conversation';
const conversationPayload = ({ conversation }: Ids) => ({ conversation_id: legacyId(conversation) });
const circlePayload = ({ circle }: Ids) => ({ circle_id: legacyId(circle) });

const channels: readonly Row[] = [
  channel('authenticate', () => ({}), {}, 'yes', 'User not found'),
  channel('join_conversation', conversationPayload, { yes: PARTICIPANTS }, NOT_IN_CONVERSATION),
  channel(
    'join_conversation: with replay',
    (ids) => ({ ...conversationPayload(ids), after_message_id: 1 }),
    { yes: PARTICIPANTS },
    NOT_IN_CONVERSATION,
  ),
  channel('leave_conversation', conversationPayload, {}),
  channel(
    'join_circle',
    circlePayload,
    { yes: MEMBERS },
    "Vous n'appartenez pas a ce cercle",
    `${UNKNOWN_SOCKET}, vous devez vous authentifier`,
  ),
  channel('leave_circle', circlePayload, {}),
  {
    ...channel(
      'message',
      (ids) => ({ ...conversationPayload(ids), text_message: 'New' }),
      { yes: PARTICIPANTS },
      'Vous ne faites pas partie de cette conversation',
    ),
    revealsExistence: true,
  },
  channel(
    'writing',
    (ids) => ({ ...conversationPayload(ids), is_writing: true }),
    { yes: PARTICIPANTS },
    NOT_IN_CONVERSATION,
  ),
  channel('webrtc_credentials', () => ({}), {}),
  channel('webrtc_stun_info', () => ({}), {}, 'yes', 'yes'),
  channel('webrtc_turn_info', () => ({}), {}, 'yes', 'yes'),
  channel(
    'webrtc_forward',
    ({ admin }) => ({ user_id: legacyId(admin), message: 'CALLING' }),
    { yes: MEMBERS },
    'Utilisateur introuvable',
  ),
  ...['webrtc_join_room', 'webrtc_leave_room', 'webrtc_room_forward'].map((name) =>
    channel(name, () => ({}), {}, 'yes', 'yes'),
  ),
];

const media: readonly Row[] = [
  http('GET /media/', ({ media: id }) => `/media/${legacyId(id)}`, { yes: PARTICIPANTS }),
  createRow(
    { type: 'http', method: 'GET', path: ({ mediaUrl }) => mediaUrl, isWithoutToken: true },
    'GET /media/: with the signature of `Media.url`',
    { yes: PARTICIPANTS, UNAUTHENTICATED: 'anonymous' },
    'FORBIDDEN',
    'FORBIDDEN',
  ),
  http('POST /media/upload/: of one’s own message', ({ ownMedia }) => `/media/upload/${legacyId(ownMedia)}`, {
    yes: PARTICIPANTS,
    FORBIDDEN: 'former',
  }),
  http('POST /media/upload/: of the admin’s message', ({ media: id }) => `/media/upload/${legacyId(id)}`, {
    yes: 'admin',
    FORBIDDEN: 'participant device',
  }),
  resumable('POST', 'of one’s own message', ({ ownMedia }) => ownMedia, {
    yes: PARTICIPANTS,
    FORBIDDEN: 'former',
  }),
  resumable('POST', 'of the admin’s message', ({ media: id }) => id, {
    yes: 'admin',
    FORBIDDEN: 'participant device',
  }),
  ...(['HEAD', 'PATCH', 'DELETE'] as const).map((method) =>
    resumable(method, 'of an upload of the admin', ({ upload }) => upload, { yes: 'admin' }),
  ),
];

/** The rows of the authorization matrix: the only list of who may do what. */
export const SECTIONS = {
  queries: { title: 'Queries', rows: queries },
  fields: { title: 'Fields that depend on the caller', rows: fields },
  mutations: { title: 'Mutations', rows: mutations },
  subscriptions: { title: 'Subscriptions', rows: subscriptions },
  channels: { title: 'Legacy channels', rows: channels },
  media: { title: 'Media', rows: media },
} as const satisfies Record<string, Section>;
