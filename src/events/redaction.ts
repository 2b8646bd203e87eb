// What the log keeps of deleted data. Redacted events stay valid: they keep their type, position, time and ids.

import type { ActorRef } from '../actor.ts';
import type { EventLabels } from '../db/event-subjects.ts';
import type { Circle, Conversation, Device, Media, Message, User } from '../db/tables.ts';
import { accountTopic, circleTopic, conversationTopic } from './event.ts';
import type { ActorView, DomainEvent, MessageEvent } from './event.ts';

/** Returns what the event contains data of, apart from its own topic. */
export function labelsOf(event: DomainEvent): EventLabels {
  if ('message' in event)
    return event.redacted === true
      ? { messageId: null, subjects: [] }
      : { messageId: event.message.id, subjects: null };
  const subjects = [
    ...('user' in event ? [accountTopic({ kind: 'user', id: event.user.id })] : []),
    ...('by' in event ? [accountTopic({ kind: 'user', id: event.by.id })] : []),
    ...('device' in event ? [accountTopic({ kind: 'device', id: event.device.id })] : []),
    ...('userId' in event && 'circle' in event ? [circleTopic(event.circle.id)] : []),
    ...(('userId' in event || 'reader' in event) && 'conversation' in event
      ? [conversationTopic(event.conversation.id)]
      : []),
  ];
  return { messageId: null, subjects };
}

/**
 * Returns the event as stored: one that announces a deletion is published with the data of what was deleted, and stored
 * without.
 */
export function toStored(event: DomainEvent): DomainEvent {
  if (event.type === 'participant.left' || event.type === 'member.left')
    return event.deleted ? withoutAccount(event, { kind: 'user', id: event.user.id }) : event;
  const isDeletion =
    event.type === 'conversation.deleted' ||
    event.type === 'circle.deleted' ||
    event.type === 'device.removed';
  return isDeletion ? withoutContents(event) : event;
}

/** Returns the event without the names, e-mail and birthday of an account. */
export function withoutAccount(event: DomainEvent, actor: ActorRef): DomainEvent {
  const blankIfSame = (user: User) =>
    actor.kind === 'user' && user.id === actor.id ? blankUser(user) : user;
  return {
    ...event,
    ...('user' in event && { user: blankIfSame(event.user) }),
    ...('by' in event && { by: blankIfSame(event.by) }),
    ...('device' in event &&
      actor.kind === 'device' &&
      event.device.id === actor.id && { device: blankDevice(event.device) }),
    ...('author' in event && isAuthor(event.author, actor) && { author: blankAuthor(event.author) }),
  };
}

/** Returns an event of a deleted conversation, circle or device without texts, files and names of what was deleted. */
export function withoutContents(event: DomainEvent): DomainEvent {
  if ('message' in event) return asRedacted(event);
  return {
    ...event,
    ...('conversation' in event && { conversation: blankName(event.conversation) }),
    ...('circle' in event && { circle: blankName(event.circle) }),
    ...('device' in event && { device: blankDevice(event.device) }),
  };
}

/** Returns what replaces an event of a message that was deleted, or of a text or file that was replaced. */
export const asRedacted = (event: MessageEvent): DomainEvent => ({
  ...event,
  redacted: true,
  message: { ...event.message, text: '' },
  author: blankAuthor(event.author),
  media: [],
  ...('uploaded' in event && { uploaded: blankFile(event.uploaded) }),
});

/** Returns the event with the current text of its message, and the current files in place of those it had. */
export function withCurrent(event: MessageEvent, { text }: Message, media: readonly Media[]): DomainEvent {
  const toCurrent = (file: Media) =>
    file.uploadedAt === null ? file : (media.find(({ id }) => id === file.id) ?? blankFile(file));
  return { ...event, message: { ...event.message, text }, media: event.media.map(toCurrent) };
}

const isAuthor = (author: ActorView, actor: ActorRef): boolean =>
  author.kind === 'user'
    ? actor.kind === 'user' && author.user.id === actor.id
    : actor.kind === 'device' && author.device.id === actor.id;

const blankAuthor = (author: ActorView): ActorView =>
  author.kind === 'user'
    ? { kind: 'user', user: blankUser(author.user), online: false, deleted: true }
    : { kind: 'device', device: blankDevice(author.device), online: false, deleted: true };

const blankUser = (user: User): User => ({ ...user, email: '', firstName: '', lastName: '', birthday: null });

const blankDevice = (device: Device): Device => ({ ...device, name: '', username: '' });

const blankName = <Named extends Conversation | Circle>(named: Named): Named => ({ ...named, name: '' });

const blankFile = (media: Media): Media => ({
  ...media,
  identifier: '',
  filename: media.filename === null ? null : '',
  extension: media.extension === null ? null : '',
});
