import type { ActorView, DomainEvent } from '../../events/event.ts';
import type { ParticipantId } from '../../ids.ts';
import type { EmittedChannel, Forwarded, IceServer, PayloadOn } from './frame-schemas.ts';
import type * as schemas from './frame-schemas.ts';

/** An event for a legacy client: a channel and its one argument. The order of its keys must not change. */
export interface Frame {
  readonly channel: EmittedChannel;
  readonly payload: unknown;
}

/** Creates a frame whose payload is type-checked against the schemas of its channel. */
export const createFrame = <Channel extends EmittedChannel>(
  channel: Channel,
  payload: PayloadOn<Channel>,
): Frame => ({
  channel,
  payload,
});

/** Distributes `Omit` over a union. */
type DistributiveOmit<Key extends string, Payload> = Payload extends unknown ? Omit<Payload, Key> : never;

type MessageSentEvent = Extract<DomainEvent, { type: 'message.sent' }>;
type Message = MessageSentEvent['message'];
type User = Extract<ActorView, { kind: 'user' }>['user'];
type Device = Extract<ActorView, { kind: 'device' }>['device'];

/** The fields of a file that legacy clients receive. */
export interface MediaView {
  readonly id: number;
  readonly filename: string | null;
  readonly extension: string | null;
  readonly identifier: string;
  readonly uploaded: boolean;
}

/** Encodes a date: ISO 8601 without a zone, with microseconds if they are not zero. A day becomes its midnight. */
export function encodeDate(iso: string): string {
  const [day = '', clock = '00:00:00'] = iso.replace(/Z$/, '').split('T');
  const [seconds = '', fraction = ''] = clock.split('.');
  return /^0*$/.test(fraction)
    ? `${day}T${seconds}`
    : `${day}T${seconds}.${fraction.padEnd(6, '0').slice(0, 6)}`;
}

const encodeUser = (user: User, online: boolean): schemas.User => ({
  id: user.id,
  email: user.email,
  first_name: user.firstName,
  last_name: user.lastName,
  birthday: user.birthday === null ? null : encodeDate(user.birthday),
  created: encodeDate(user.createdAt),
  updated: encodeDate(user.updatedAt),
  isOnline: online,
  type: 'DEFAULT',
});

const encodeDevice = (device: Device, online: boolean): schemas.Device => ({
  id: device.id,
  name: device.name,
  created: encodeDate(device.createdAt),
  updated: encodeDate(device.updatedAt),
  circle_id: device.circleId,
  activated: device.activated,
  username: device.username,
  is_online: online,
});

const encodeActor = (actor: ActorView) =>
  actor.kind === 'user' ? encodeUser(actor.user, actor.online) : encodeDevice(actor.device, actor.online);

/**
 * Encodes a message. Legacy clients crash on a null `link_id`, so a message of a device has no such key. A message of a
 * user always has a participant.
 */
function encodeMessage(message: Message): schemas.Message {
  const { authorDeviceId, participantId } = message;
  const author =
    authorDeviceId === null ? { link_id: participantId as ParticipantId } : { device_id: authorDeviceId };
  return {
    id: message.id,
    ...author,
    sent: encodeDate(message.sentAt),
    read: null,
    content: message.text,
    medias: message.mediaCount,
  };
}

export const encodeMedia = (media: MediaView): schemas.Media => ({
  id: media.id,
  filename: media.filename,
  extension: media.extension,
  identifier: media.identifier,
  uploaded: media.uploaded ? 'True' : 'False',
});

type Media = MessageSentEvent['media'][number];
const encodeStoredMedia = (media: Media) => encodeMedia({ ...media, uploaded: media.uploadedAt !== null });

/** Encodes a sent message: one without files is complete, otherwise its files are pending. */
export function encodeMessageSent({ message, author, media }: Omit<MessageSentEvent, 'type'>): Frame {
  const payload = { conversation_id: message.conversationId, message: encodeMessage(message) };
  if (message.status === 'PENDING') return createFrame('message', { ...payload, status: 'pending' });
  return createFrame('message', {
    ...payload,
    time: encodeDate(message.sentAt),
    sender: encodeActor(author),
    media_list: media.map(encodeStoredMedia),
    status: 'done',
  });
}

/** Encodes an uploaded file of a message. The frame of the last file also has the keys of a complete message. */
export function encodeMediaUploaded(
  event: Omit<MessageSentEvent, 'type'> & { readonly uploaded: Media },
): Frame {
  const { message, author, media, uploaded } = event;
  const firstKeys = { conversation_id: message.conversationId, message: encodeMessage(message) };
  const sender = encodeActor(author);
  const lastKeys = { media: encodeStoredMedia(uploaded), status: 'done' } as const;
  if (message.status === 'PENDING') return createFrame('message', { ...firstKeys, sender, ...lastKeys });
  const time = encodeDate(message.sentAt);
  return createFrame('message', {
    ...firstKeys,
    time,
    sender,
    media_list: media.map(encodeStoredMedia),
    ...lastKeys,
  });
}

/** Encodes the change or deletion of a message. */
export const encodeMessageChanged = (
  conversationId: number,
  messageId: number,
  event: 'update' | 'delete',
): Frame => createFrame('message', { conversation_id: conversationId, message_id: messageId, event });

/** Encodes the start or end of writing. A device has no e-mail address: its frame has no `user`. */
export function encodeWriting(conversationId: number, actor: ActorView, isTyping: boolean): Frame {
  const room = { conversation_id: conversationId };
  return actor.kind === 'user'
    ? createFrame('writing', { ...room, device: false, user: actor.user.email, is_writing: isTyping })
    : createFrame('writing', { ...room, device: true, is_writing: isTyping });
}

/** Encodes an event of a circle. The last key of its frame is the circle's id. */
export const encodeCircleEvent = (
  circleId: number,
  fields: DistributiveOmit<'circle_id', PayloadOn<'circle'>>,
): Frame => createFrame('circle', { ...fields, circle_id: circleId });

/** Encodes an event of a conversation. The last key of its frame is the conversation's id. */
export const encodeConversationEvent = (
  conversationId: number,
  fields: DistributiveOmit<'conversation_id', PayloadOn<'conversation'>>,
): Frame => createFrame('conversation', { ...fields, conversation_id: conversationId });

/** Encodes the presence of a user or a device in one of its circles. */
export function encodePresence(circleId: number, actor: ActorView, online: boolean): Frame {
  const state = online ? 'connect' : 'disconnect';
  return actor.kind === 'user'
    ? encodeCircleEvent(circleId, { event: state, user: actor.user.email })
    : encodeDeviceEvent(circleId, actor.device.id, state);
}

export const encodeDeviceEvent = (
  circleId: number,
  deviceId: number,
  type: 'update' | 'connect' | 'disconnect',
): Frame => encodeCircleEvent(circleId, { event: 'device', type, device_id: deviceId });

/** Encodes a forwarded payload, which stays unchanged. */
export const encodeForwarded = (sender: ActorView, content: unknown): Forwarded => ({
  sender_id: sender.kind === 'user' ? sender.user.id : sender.device.id,
  is_device: sender.kind === 'device',
  content,
});

/** Default ports of RFC 7064 and RFC 7065. */
const ICE_PORT = 3478;
const SECURE_ICE_PORT = 5349;

/**
 * Encodes a `stun:` or `turn:` URL as a server of `webrtc_config`. An IPv6 address keeps its brackets: clients join domain
 * and port by a colon.
 */
export function encodeIceServer(url: string): IceServer {
  const [, scheme = '', domain = '', port] = /^(\w+):(\[[^\]]*\]|[^:?]*)(?::(\d+))?/.exec(url) ?? [];
  return {
    domain,
    ip: '',
    port: port === undefined ? (scheme.endsWith('s') ? SECURE_ICE_PORT : ICE_PORT) : Number(port),
  };
}
