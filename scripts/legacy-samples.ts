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
export interface Sample<Fact> {
  readonly when: string;
  readonly to: string;
  readonly fact: Fact;
}

const at = (clock: string) => `2018-12-07T${clock}Z`;
const times = { createdAt: at('10:00:00.000'), updatedAt: at('10:00:00.000') };
const conversationId = 12 as ConversationId;
const circleId = 3 as CircleId;

const user = (id: number, name: string) => ({
  id: id as UserId,
  email: `${name.toLowerCase()}@example.com`,
  firstName: name,
  lastName: 'Martin',
  birthday: name === 'Ann' ? '1995-12-12' : null,
  ...times,
});
const ann = user(7, 'Ann');
const bob = user(8, 'Bob');
const device = {
  id: 4 as DeviceId,
  circleId,
  name: 'Living room',
  username: 'living-room-4',
  activated: true,
  ...times,
};
const circle = { id: circleId, name: 'Family', ...times };
const conversation = { id: conversationId, circleId, name: 'Sunday', deviceAccess: true, ...times };
const participant = {
  id: 21 as ParticipantId,
  conversationId,
  userId: bob.id,
  role: 'STANDARD' as const,
  ...times,
};
const byAnn: ActorView = { kind: 'user', user: ann, online: true };
const byDevice: ActorView = { kind: 'device', device, online: true };

const message = {
  id: 40 as MessageId,
  conversationId,
  authorUserId: ann.id,
  authorDeviceId: null,
  participantId: 20 as ParticipantId,
  text: 'Bonjour',
  status: 'DONE' as const,
  mediaCount: 0,
  sentAt: at('10:10:43.123'),
  updatedAt: at('10:10:43.123'),
};
const ofDevice = { ...message, authorUserId: null, authorDeviceId: device.id, participantId: null };
const announced = {
  id: 60 as MediaId,
  messageId: message.id,
  identifier: 'cake.png',
  filename: null,
  extension: null,
  contentType: null,
  size: null,
  uploadedAt: null,
};
const arrived = {
  ...announced,
  filename: 'cake',
  extension: '.png',
  contentType: 'image/png',
  size: 2048,
  uploadedAt: at('10:10:50.000'),
};
const other = { ...announced, id: 61 as MediaId, identifier: 'candles.png' };
const withFiles = { ...message, mediaCount: 2, status: 'PENDING' as const };

const inRoom = 'room of the conversation';
const inCircle = 'room of the circle';
const newest = (who: string) => `newest connection of ${who}`;

/** Every event, in the order of docs/legacy-channels.md; those without a sample send no frames. */
export const EVENT_SAMPLES: { readonly [Type in DomainEvent['type']]: readonly Sample<Event<Type>>[] } = {
  'circle.invited': [
    {
      when: 'a user is invited to a circle',
      to: newest('the user'),
      fact: {
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
      to: inCircle,
      fact: { type: 'member.joined', circleId, user: bob },
    },
  ],
  'member.left': [
    {
      when: 'a user leaves the circle, or is deleted, after the `quit` in each of its conversations',
      to: `${inCircle}, the user included`,
      fact: { type: 'member.left', circleId, user: bob, deleted: false },
    },
  ],
  'member.kicked': [
    {
      when: 'a user is kicked from the circle, after the `kick` in each of its conversations',
      to: `${inCircle}, the user included`,
      fact: { type: 'member.kicked', circleId, user: bob, by: ann },
    },
  ],
  'circle.updated': [
    { when: 'the circle is renamed', to: inCircle, fact: { type: 'circle.updated', circle } },
  ],
  'circle.deleted': [
    { when: 'the circle is deleted', to: inCircle, fact: { type: 'circle.deleted', circle } },
  ],
  'device.added': [
    { when: 'a device is added to the circle', to: inCircle, fact: { type: 'device.added', device } },
  ],
  'device.updated': [
    { when: 'the device is renamed', to: inCircle, fact: { type: 'device.updated', device } },
  ],
  'device.removed': [
    {
      when: 'the device is removed while it is online; no frame if it is offline',
      to: inCircle,
      fact: { type: 'device.removed', device, online: true },
    },
  ],
  'conversation.updated': [
    { when: 'the conversation is renamed', to: inRoom, fact: { type: 'conversation.updated', conversation } },
  ],
  'conversation.invited': [
    {
      when: 'a user is invited to the conversation, or is one of its first participants; no one else receives it',
      to: newest('the user'),
      fact: { type: 'conversation.invited', userId: bob.id, conversation },
    },
  ],
  'conversation.promoted': [
    {
      when: 'an administrator makes a participant the administrator; no frame if one inherits the role',
      to: newest('the participant'),
      fact: { type: 'conversation.promoted', userId: bob.id, conversation },
    },
  ],
  'participant.kicked': [
    {
      when: 'a user is kicked from the conversation or its circle',
      to: `${inRoom}, the user included`,
      fact: { type: 'participant.kicked', participant, user: bob, by: ann },
    },
  ],
  'participant.left': [
    {
      when: 'a user leaves the conversation or its circle, or is deleted',
      to: `${inRoom}, the user included`,
      fact: { type: 'participant.left', participant, user: bob, deleted: false },
    },
  ],
  'device-access.changed': [
    {
      when: 'the device of the circle gains access',
      to: inRoom,
      fact: { type: 'device-access.changed', conversation, allowed: true, removed: false },
    },
    {
      when: 'the device of the circle loses access; no frame if it is removed',
      to: `${inRoom}, the device included`,
      fact: { type: 'device-access.changed', conversation, allowed: false, removed: false },
    },
  ],
  'message.sent': [
    {
      when: 'a user sends a message without files',
      to: `${inRoom}, the sender included`,
      fact: { type: 'message.sent', message, author: byAnn, media: [] },
    },
    {
      when: 'a device sends a message without files: no `link_id`, and a device as `sender`',
      to: `${inRoom}, the sender included`,
      fact: { type: 'message.sent', message: ofDevice, author: byDevice, media: [] },
    },
    {
      when: 'a message is sent whose files are not uploaded yet',
      to: `${inRoom}, the sender included`,
      fact: { type: 'message.sent', message: withFiles, author: byAnn, media: [announced, other] },
    },
  ],
  'media.uploaded': [
    {
      when: 'a file of a message is uploaded, others are pending',
      to: inRoom,
      fact: {
        type: 'media.uploaded',
        message: withFiles,
        author: byAnn,
        media: [arrived, other],
        uploaded: arrived,
      },
    },
    {
      when: 'the last file of a message is uploaded',
      to: inRoom,
      fact: {
        type: 'media.uploaded',
        message: { ...withFiles, mediaCount: 1, status: 'DONE' },
        author: byAnn,
        media: [arrived],
        uploaded: arrived,
      },
    },
  ],
  'message.updated': [
    {
      when: 'the text of a message is changed',
      to: inRoom,
      fact: { type: 'message.updated', message, author: byAnn, media: [] },
    },
  ],
  'message.deleted': [
    {
      when: 'a message is deleted',
      to: inRoom,
      fact: { type: 'message.deleted', conversationId, messageId: message.id },
    },
  ],
  'conversation.deleted': [],
  'participant.joined': [],
  'participant.promoted': [],
  'session.ended': [],
  'account.deleted': [],
};

/** Ephemeral events. */
export const EPHEMERAL_SAMPLES: readonly Sample<Ephemeral>[] = [
  {
    when: 'a user comes online: the first connection over any transport, on any node',
    to: inCircle,
    fact: { type: 'presence', topic: `circle:${circleId}`, actor: byAnn, online: true },
  },
  {
    when: 'a user has had no connection for a grace period (`PRESENCE_GRACE_MS`, 5 s unless set)',
    to: inCircle,
    fact: { type: 'presence', topic: `circle:${circleId}`, actor: byAnn, online: false },
  },
  {
    when: 'a device comes online',
    to: inCircle,
    fact: { type: 'presence', topic: `circle:${circleId}`, actor: byDevice, online: true },
  },
  {
    when: 'a device has had no connection for a grace period',
    to: inCircle,
    fact: { type: 'presence', topic: `circle:${circleId}`, actor: byDevice, online: false },
  },
  {
    when: 'a user starts or stops writing',
    to: `${inRoom}, the writer included`,
    fact: { type: 'typing', topic: `conversation:${conversationId}`, actor: byAnn, isTyping: true },
  },
  {
    when: 'a device starts or stops writing',
    to: `${inRoom}, the writer included`,
    fact: { type: 'typing', topic: `conversation:${conversationId}`, actor: byDevice, isTyping: true },
  },
  {
    when: 'another client forwards a payload to the account',
    to: newest('the account'),
    fact: {
      type: 'signal',
      topic: `user:${bob.id}`,
      sender: byAnn,
      content: { user_id: bob.id, message: 'CALLING' },
      legacyLease: 1,
    },
  },
];
