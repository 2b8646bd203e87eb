import { isInterfaceType, isObjectType, isUnionType } from 'graphql';
import type { GraphQLObjectType } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/schema/index.ts';

// A change of these public names and shapes breaks clients.

const signatureOf = ({ name, args, type }: ReturnType<GraphQLObjectType['getFields']>[string]): string => {
  const list = args.map((arg) => `${arg.name}: ${String(arg.type)}`).join(', ');
  return `${name}${list === '' ? '' : `(${list})`}: ${String(type)}`;
};

function fieldsOf(name: string): string[] {
  const type = schema.getType(name);
  if (!isObjectType(type) && !isInterfaceType(type)) throw new Error(`The schema has no type ${name}`);
  return Object.values(type.getFields()).map(signatureOf).sort();
}

const PAGE = 'before: String, after: String, first: Int, last: Int';

test('the query fields are unchanged', () => {
  expect(fieldsOf('Query')).toEqual(
    [
      'me: Actor!',
      'node(id: ID!): Node',
      'nodes(ids: [ID!]!): [Node]!',
      `circles(${PAGE}): CircleConnection!`,
      'circle(id: ID!): Circle',
      'conversation(id: ID!): Conversation',
      'message(id: ID!): Message',
      'calls(conversationId: ID): [Call!]!',
      'webrtc: WebRtcConfig!',
    ].sort(),
  );
});

test('the mutation fields are unchanged', () => {
  expect(fieldsOf('Mutation')).toEqual(
    [
      'createAccount(input: CreateAccountInput!): LoginPayload!',
      'login(email: String!, password: String!): LoginPayload!',
      'loginDevice(username: String!, password: String!): LoginDevicePayload!',
      'logout: Boolean!',
      'logoutEverywhere: Boolean!',
      'refreshToken: RefreshTokenPayload!',
      'updateAccount(input: UpdateAccountInput!): User!',
      'changePassword(current: String!, next: String!): User!',
      'deleteAccount(password: String!): User!',
      'createCircle(name: String!): Circle!',
      'updateCircle(circleId: ID!, name: String!): Circle!',
      'deleteCircle(circleId: ID!): Circle!',
      'inviteToCircle(circleId: ID!, email: String!): CircleInvitation!',
      'acceptCircleInvitation(invitationId: ID!): Circle!',
      'declineCircleInvitation(invitationId: ID!): CircleInvitation!',
      'blockInvitations(userId: ID): User!',
      'unblockInvitations(userId: ID): User!',
      'sendVerificationEmail: User!',
      'verifyEmail(token: String!): User!',
      'leaveCircle(circleId: ID!): Circle!',
      'kickFromCircle(circleId: ID!, email: String!): Circle!',
      'addDevice(circleId: ID!, name: String!): AddDevicePayload!',
      'updateDevice(deviceId: ID!, name: String!): Device!',
      'removeDevice(deviceId: ID!): Device!',
      'createConversation(circleId: ID!, name: String!, emails: [String!], readReceipts: Boolean): Conversation!',
      'updateConversation(conversationId: ID!, name: String!): Conversation!',
      'inviteToConversation(conversationId: ID!, email: String!): Conversation!',
      'leaveConversation(conversationId: ID!): Conversation!',
      'kickFromConversation(conversationId: ID!, email: String!): Conversation!',
      'promoteInConversation(conversationId: ID!, email: String!): Conversation!',
      'setDeviceAccess(conversationId: ID!, allowed: Boolean!): Conversation!',
      'sendMessage(conversationId: ID!, text: String, files: [String!], idempotencyKey: String): SendMessagePayload!',
      'updateMessage(messageId: ID!, text: String!): Message!',
      'deleteMessage(messageId: ID!): Message!',
      'uploadMedia(mediaId: ID!, file: Upload!): Media!',
      'startUpload(mediaId: ID!, filename: String!, size: Float!): DirectUpload',
      'resumeUpload(ticket: String!): PartUpload!',
      'finishUpload(ticket: String!): Media!',
      'markRead(conversationId: ID!, messageId: ID!): Conversation!',
      'setReadReceipts(conversationId: ID!, allowed: Boolean!): Conversation!',
      'setTyping(conversationId: ID!, isTyping: Boolean!): Boolean!',
      'sendSignal(to: SignalTarget!, content: JSON!): Boolean!',
      'startCall(conversationId: ID!, idempotencyKey: String): CallParticipation!',
      'joinCall(callId: ID!, idempotencyKey: String): CallParticipation!',
      'leaveCall(participantId: ID!): Call!',
    ].sort(),
  );
});

test('the subscription fields are unchanged', () => {
  expect(fieldsOf('Subscription')).toEqual(
    [
      'circleEvents(circleId: ID!, after: Cursor): CircleEvent!',
      'conversationEvents(conversationId: ID!, after: Cursor): ConversationEvent!',
      'inboxEvents(after: Cursor): InboxEvent!',
      'callEvents(conversationId: ID!, after: Cursor, participantId: ID): CallEvent!',
      'typing(conversationId: ID!): Typing!',
      'mediaInspected(conversationId: ID!): Media!',
      'readReceipts(conversationId: ID!): ReadReceipt!',
      'signals: Signal!',
      'presence(circleId: ID!): Presence!',
    ].sort(),
  );
});

test('the event types and their fields are unchanged', () => {
  const event = schema.getType('Event');
  if (!isInterfaceType(event)) throw new Error('The schema has no interface Event');
  const types = Object.fromEntries(
    schema
      .getPossibleTypes(event)
      .map(({ name }) => [
        name,
        fieldsOf(name).filter((field) => !field.startsWith('at:') && !field.startsWith('cursor:')),
      ]),
  );
  const inCircle = ['circleId: ID!'];
  const inConversation = ['conversationId: ID!'];
  const inCall = ['callId: ID!', ...inConversation];
  expect(types).toEqual({
    StreamLive: [],
    MessageSent: [...inConversation, 'message: Message!'],
    MessageUpdated: [...inConversation, 'message: Message!'],
    MessageDeleted: [...inConversation, 'messageId: ID!'],
    MediaUploaded: [...inConversation, 'media: Media!', 'message: Message!'],
    ConversationUpdated: ['conversation: Conversation!', ...inConversation],
    ConversationDeleted: ['conversation: Conversation!', ...inConversation],
    ParticipantJoined: [...inConversation, 'user: User!'],
    ParticipantLeft: [...inConversation, 'user: User!'],
    ParticipantPromoted: [...inConversation, 'user: User!'],
    ParticipantKicked: ['by: User!', ...inConversation, 'user: User!'],
    DeviceAccessChanged: ['allowed: Boolean!', ...inConversation],
    CircleUpdated: ['circle: Circle!', ...inCircle],
    CircleDeleted: ['circle: Circle!', ...inCircle],
    MemberJoined: [...inCircle, 'user: User!'],
    MemberLeft: [...inCircle, 'user: User!'],
    MemberKicked: ['by: User!', ...inCircle, 'user: User!'],
    DeviceAdded: [...inCircle, 'device: Device!'],
    DeviceUpdated: [...inCircle, 'device: Device!'],
    DeviceRemoved: [...inCircle, 'device: Device!'],
    CircleInvited: [...inCircle, 'invitation: CircleInvitation!'],
    ConversationInvited: ['conversation: Conversation!', ...inConversation],
    Promoted: ['conversation: Conversation!', ...inConversation],
    ReadStateChanged: ['conversation: Conversation!', ...inConversation, 'messageId: ID!'],
    CallStarted: inCall,
    CallParticipantJoined: [...inCall, 'participant: CallParticipant!'],
    CallParticipantLeft: [...inCall, 'participant: CallParticipant!', 'reason: CallLeaveReason!'],
    CallEnded: inCall,
  });
  expect(fieldsOf('Event')).toEqual(['at: DateTime!', 'cursor: Cursor!']);
});

test('a stream’s interface is implemented by its events and StreamLive only', () => {
  const membersOf = (name: string): string[] => {
    const type = schema.getType(name);
    if (!isInterfaceType(type)) throw new Error(`The schema has no interface ${name}`);
    expect(type.getInterfaces().map(String)).toEqual(['Event']);
    expect(fieldsOf(name)).toEqual(fieldsOf('Event'));
    return schema.getPossibleTypes(type).map(String);
  };
  expect(membersOf('ConversationEvent')).toEqual([
    'StreamLive',
    'MessageSent',
    'MessageUpdated',
    'MessageDeleted',
    'MediaUploaded',
    'ConversationUpdated',
    'ConversationDeleted',
    'ParticipantJoined',
    'ParticipantLeft',
    'ParticipantKicked',
    'ParticipantPromoted',
    'DeviceAccessChanged',
  ]);
  expect(membersOf('CircleEvent')).toEqual([
    'StreamLive',
    'CircleUpdated',
    'CircleDeleted',
    'MemberJoined',
    'MemberLeft',
    'MemberKicked',
    'DeviceAdded',
    'DeviceUpdated',
    'DeviceRemoved',
  ]);
  expect(membersOf('InboxEvent')).toEqual([
    'StreamLive',
    'CircleInvited',
    'ConversationInvited',
    'Promoted',
    'ReadStateChanged',
  ]);
  expect(membersOf('CallEvent')).toEqual([
    'StreamLive',
    'CallStarted',
    'CallParticipantJoined',
    'CallParticipantLeft',
    'CallEnded',
  ]);
});

test('every node that legacy clients know has both ids', () => {
  const node = schema.getType('Node');
  if (!isInterfaceType(node)) throw new Error('The schema has no interface Node');
  const isKnown = (name: string): boolean => fieldsOf(name).includes('legacyId: Int!');
  const types = schema.getPossibleTypes(node).map(({ name }) => name);
  expect(types.filter((name) => !isKnown(name)).sort()).toEqual(['Call', 'CallParticipant']);
  expect(types.filter(isKnown).sort()).toEqual(
    [
      'User',
      'Device',
      'Circle',
      'CircleMembership',
      'CircleInvitation',
      'Conversation',
      'Participant',
      'Message',
      'Media',
    ].sort(),
  );
  for (const name of types) expect(fieldsOf(name)).toContain('id: ID!');
});

test('Actor is the union of User and Device', () => {
  const actor = schema.getType('Actor');
  expect(isUnionType(actor) && actor.getTypes().map(({ name }) => name)).toEqual(['User', 'Device']);
});
