import type { ActorView, DomainEvent, Ephemeral } from '../src/events/event.ts';
import type {
  CircleId,
  ConversationId,
  DeviceId,
  InvitationId,
  MediaId,
  MessageId,
  ParticipantId,
  UserId,
} from '../src/ids.ts';

type Event<Type extends DomainEvent['type']> = Extract<DomainEvent, { type: Type }>;

/** A sample of an event that legacy clients may receive. */
export interface Sample<SampledEvent> {
  readonly when: string;
  readonly to: string;
  readonly event: SampledEvent;
}

const timestampAt = (time: string) => `2018-12-07T${time}Z`;
const times = { createdAt: timestampAt('10:00:00.000'), updatedAt: timestampAt('10:00:00.000') };
const conversationId = 12 as ConversationId;
const circleId = 3 as CircleId;

const createUser = (id: number, name: string) => ({
  id: id as UserId,
  email: `${name.toLowerCase()}@example.com`,
  firstName: name,
  lastName: 'Martin',
  birthday: name === 'Ann' ? '1995-12-12' : null,
  ...times,
});
const ann = createUser(7, 'Ann');
const bob = createUser(8, 'Bob');
const device = {
  id: 4 as DeviceId,
  circleId,
  name: 'Living room',
  username: 'living-room-4',
  activated: true,
  ...times,
};
const circle = { id: circleId, name: 'Family', ...times };
const conversation = {
  id: conversationId,
  circleId,
  name: 'Sunday',
  deviceAccess: true,
  readReceipts: false,
  ...times,
};
const participant = {
  id: 21 as ParticipantId,
  conversationId,
  userId: bob.id,
  role: 'STANDARD' as const,
  ...times,
};
const annView: ActorView = { kind: 'user', user: ann, online: true };
const deviceView: ActorView = { kind: 'device', device, online: true };

const message = {
  id: 40 as MessageId,
  conversationId,
  authorUserId: ann.id,
  authorDeviceId: null,
  participantId: 20 as ParticipantId,
  text: 'Bonjour',
  status: 'DONE' as const,
  mediaCount: 0,
  sentAt: timestampAt('10:10:43.123'),
  updatedAt: timestampAt('10:10:43.123'),
};
const deviceMessage = { ...message, authorUserId: null, authorDeviceId: device.id, participantId: null };
const pendingMedia = {
  id: 60 as MediaId,
  messageId: message.id,
  identifier: 'cake.png',
  filename: null,
  extension: null,
  contentType: null,
  size: null,
  uploadedAt: null,
};
const uploadedMedia = {
  ...pendingMedia,
  filename: 'cake',
  extension: '.png',
  contentType: 'image/png',
  size: 2048,
  uploadedAt: timestampAt('10:10:50.000'),
};
const otherPendingMedia = { ...pendingMedia, id: 61 as MediaId, identifier: 'candles.png' };
const messageWithFiles = { ...message, mediaCount: 2, status: 'PENDING' as const };

const CONVERSATION_ROOM = 'room of the conversation';
const CIRCLE_ROOM = 'room of the circle';
const newestConnectionOf = (account: string) => `newest connection of ${account}`;

/** Samples of every event, in the order of docs/legacy-channels.md. Events without a sample send no frames. */
export const EVENT_SAMPLES: { readonly [Type in DomainEvent['type']]: readonly Sample<Event<Type>>[] } = {
  'circle.invited': [
    {
      when: 'a user is invited to a circle',
      to: newestConnectionOf('the user'),
      event: {
        type: 'circle.invited',
        userId: bob.id,
        invitation: {
          id: 5 as InvitationId,
          circleId,
          userId: bob.id,
          invitedById: ann.id,
          createdAt: times.createdAt,
        },
        circle,
      },
    },
  ],
  'member.joined': [
    {
      when: 'a user accepts an invitation',
      to: CIRCLE_ROOM,
      event: { type: 'member.joined', circleId, user: bob },
    },
  ],
  'member.left': [
    {
      when: 'a user leaves the circle, or is deleted, after the `quit` in each of its conversations',
      to: `${CIRCLE_ROOM}, the user included`,
      event: { type: 'member.left', circleId, user: bob, deleted: false },
    },
  ],
  'member.kicked': [
    {
      when: 'a user is kicked from the circle, after the `kick` in each of its conversations',
      to: `${CIRCLE_ROOM}, the user included`,
      event: { type: 'member.kicked', circleId, user: bob, by: ann },
    },
  ],
  'circle.updated': [
    { when: 'the circle is renamed', to: CIRCLE_ROOM, event: { type: 'circle.updated', circle } },
  ],
  'circle.deleted': [
    { when: 'the circle is deleted', to: CIRCLE_ROOM, event: { type: 'circle.deleted', circle } },
  ],
  'device.added': [
    { when: 'a device is added to the circle', to: CIRCLE_ROOM, event: { type: 'device.added', device } },
  ],
  'device.updated': [
    { when: 'the device is renamed', to: CIRCLE_ROOM, event: { type: 'device.updated', device } },
  ],
  'device.removed': [
    {
      when: 'the device is removed while it is online; no frame if it is offline',
      to: CIRCLE_ROOM,
      event: { type: 'device.removed', device, online: true },
    },
  ],
  'conversation.updated': [
    {
      when: 'the conversation is renamed',
      to: CONVERSATION_ROOM,
      event: { type: 'conversation.updated', conversation },
    },
  ],
  'conversation.invited': [
    {
      when: 'a user is invited to the conversation, or is one of its first participants; no one else receives it',
      to: newestConnectionOf('the user'),
      event: { type: 'conversation.invited', userId: bob.id, conversation },
    },
  ],
  'conversation.promoted': [
    {
      when: 'an administrator makes a participant the administrator; no frame if one inherits the role',
      to: newestConnectionOf('the participant'),
      event: { type: 'conversation.promoted', userId: bob.id, conversation },
    },
  ],
  'participant.kicked': [
    {
      when: 'a user is kicked from the conversation or its circle',
      to: `${CONVERSATION_ROOM}, the user included`,
      event: { type: 'participant.kicked', participant, user: bob, by: ann },
    },
  ],
  'participant.left': [
    {
      when: 'a user leaves the conversation or its circle, or is deleted',
      to: `${CONVERSATION_ROOM}, the user included`,
      event: { type: 'participant.left', participant, user: bob, deleted: false },
    },
  ],
  'device-access.changed': [
    {
      when: 'the device of the circle gains access',
      to: CONVERSATION_ROOM,
      event: { type: 'device-access.changed', conversation, allowed: true, removed: false },
    },
    {
      when: 'the device of the circle loses access; no frame if it is removed',
      to: `${CONVERSATION_ROOM}, the device included`,
      event: { type: 'device-access.changed', conversation, allowed: false, removed: false },
    },
  ],
  'message.sent': [
    {
      when: 'a user sends a message without files',
      to: `${CONVERSATION_ROOM}, the sender included`,
      event: { type: 'message.sent', message, author: annView, media: [] },
    },
    {
      when: 'a device sends a message without files: no `link_id`, and a device as `sender`',
      to: `${CONVERSATION_ROOM}, the sender included`,
      event: { type: 'message.sent', message: deviceMessage, author: deviceView, media: [] },
    },
    {
      when: 'a message is sent whose files are not uploaded yet',
      to: `${CONVERSATION_ROOM}, the sender included`,
      event: {
        type: 'message.sent',
        message: messageWithFiles,
        author: annView,
        media: [pendingMedia, otherPendingMedia],
      },
    },
  ],
  'media.uploaded': [
    {
      when: 'a file of a message is uploaded, others are pending',
      to: CONVERSATION_ROOM,
      event: {
        type: 'media.uploaded',
        message: messageWithFiles,
        author: annView,
        media: [uploadedMedia, otherPendingMedia],
        uploaded: uploadedMedia,
      },
    },
    {
      when: 'the last file of a message is uploaded',
      to: CONVERSATION_ROOM,
      event: {
        type: 'media.uploaded',
        message: { ...messageWithFiles, mediaCount: 1, status: 'DONE' },
        author: annView,
        media: [uploadedMedia],
        uploaded: uploadedMedia,
      },
    },
  ],
  'message.updated': [
    {
      when: 'the text of a message is changed',
      to: CONVERSATION_ROOM,
      event: { type: 'message.updated', message, author: annView, media: [] },
    },
  ],
  'message.deleted': [
    {
      when: 'a message is deleted',
      to: CONVERSATION_ROOM,
      event: { type: 'message.deleted', conversationId, messageId: message.id },
    },
  ],
  'conversation.deleted': [],
  'participant.joined': [],
  'participant.promoted': [],
  'read-state.changed': [],
  'session.ended': [],
  'call.started': [],
  'call.participant-joined': [],
  'call.participant-left': [],
  'call.ended': [],
  'account.deleted': [],
};

/** Ephemeral events. */
export const EPHEMERAL_SAMPLES: readonly Sample<Ephemeral>[] = [
  {
    when: 'a user comes online: the first connection over any transport, on any node',
    to: CIRCLE_ROOM,
    event: { type: 'presence', topic: `circle:${circleId}`, actor: annView, online: true },
  },
  {
    when: 'a user has had no connection for a grace period (`PRESENCE_GRACE_MS`, 5 s unless set)',
    to: CIRCLE_ROOM,
    event: { type: 'presence', topic: `circle:${circleId}`, actor: annView, online: false },
  },
  {
    when: 'a device comes online',
    to: CIRCLE_ROOM,
    event: { type: 'presence', topic: `circle:${circleId}`, actor: deviceView, online: true },
  },
  {
    when: 'a device has had no connection for a grace period',
    to: CIRCLE_ROOM,
    event: { type: 'presence', topic: `circle:${circleId}`, actor: deviceView, online: false },
  },
  {
    when: 'a user starts or stops writing',
    to: `${CONVERSATION_ROOM}, the writer included`,
    event: { type: 'typing', topic: `conversation:${conversationId}`, actor: annView, isTyping: true },
  },
  {
    when: 'a device starts or stops writing',
    to: `${CONVERSATION_ROOM}, the writer included`,
    event: { type: 'typing', topic: `conversation:${conversationId}`, actor: deviceView, isTyping: true },
  },
  {
    when: 'another client forwards a payload to the account',
    to: newestConnectionOf('the account'),
    event: {
      type: 'signal',
      topic: `user:${bob.id}`,
      sender: annView,
      content: { user_id: bob.id, message: 'CALLING' },
      legacyLease: 1,
    },
  },
];
