import type { ActorRow } from '../db/actors.ts';
import type { ReadReceipt } from '../db/read-receipts.ts';
import type {
  Call,
  CallParticipant,
  Circle,
  Conversation,
  Device,
  Invitation,
  Media,
  Message,
  Participant,
  Timestamp,
  User,
} from '../db/tables.ts';
import type { CircleId, ConversationId, MessageId, UserId } from '../ids.ts';
import type { EndReason } from '../errors.ts';
import type { ActorRef } from '../actor.ts';

/**
 * An actor as embedded in events. `online` is its state at the time of the event. `deleted` is set once the account was
 * deleted: the log then has its id only.
 */
export type ActorView = ActorRow & { readonly deleted?: true };

/** A message with its author and media: events are self-contained, so that readers need no query. */
interface MessageFields {
  readonly message: Message;
  readonly author: ActorView;
  /** All files of the message, in the order of sending. */
  readonly media: readonly Media[];
  /**
   * Set in the log once the message was deleted, or its text or file was replaced: the event is then without texts,
   * names and files, and is not delivered, because a later event has the change.
   */
  readonly redacted?: true;
}

/** A user who left, or whose account was deleted. */
interface Departure {
  readonly user: User;
  /** Whether the account was deleted. */
  readonly deleted: boolean;
}

export type ConversationEvent =
  | ({ readonly type: 'message.sent' } & MessageFields)
  | ({ readonly type: 'message.updated' } & MessageFields)
  | {
      readonly type: 'message.deleted';
      readonly conversationId: ConversationId;
      readonly messageId: MessageId;
    }
  /** A file of a message was uploaded. The last one sets the message to `DONE`. */
  | ({ readonly type: 'media.uploaded'; readonly uploaded: Media } & MessageFields)
  | {
      readonly type: 'conversation.updated';
      readonly conversation: Conversation;
      /** The property that was changed. Default: the name. */
      readonly changed?: 'readReceipts';
    }
  | { readonly type: 'conversation.deleted'; readonly conversation: Conversation }
  | { readonly type: 'participant.joined'; readonly participant: Participant; readonly user: User }
  | ({ readonly type: 'participant.left'; readonly participant: Participant } & Departure)
  | {
      readonly type: 'participant.kicked';
      readonly participant: Participant;
      readonly user: User;
      readonly by: User;
    }
  | { readonly type: 'participant.promoted'; readonly participant: Participant; readonly user: User }
  | {
      readonly type: 'device-access.changed';
      readonly conversation: Conversation;
      readonly allowed: boolean;
      /** Whether the device was removed from the circle. A later device of the circle starts without access. */
      readonly removed: boolean;
    };

export type CircleEvent =
  | { readonly type: 'circle.updated'; readonly circle: Circle }
  | { readonly type: 'circle.deleted'; readonly circle: Circle }
  | { readonly type: 'member.joined'; readonly circleId: CircleId; readonly user: User }
  | ({ readonly type: 'member.left'; readonly circleId: CircleId } & Departure)
  | { readonly type: 'member.kicked'; readonly circleId: CircleId; readonly user: User; readonly by: User }
  | { readonly type: 'device.added'; readonly device: Device }
  | { readonly type: 'device.updated'; readonly device: Device }
  /** `online` is the device's last state: its removal emits no `presence` event. */
  | { readonly type: 'device.removed'; readonly device: Device; readonly online: boolean };

/** Why a participant left a call: by request, its connection closed, or its access to the conversation ended. */
export type CallLeaveReason = 'LEFT' | 'DISCONNECTED' | 'REMOVED';

/** The account of a call's participant: neither once it was deleted. */
type CallAccount = { readonly user: User } | { readonly device: Device } | object;

/** Events of the calls in a conversation. They have a topic of their own, as legacy clients and older nodes do not know them. */
export type CallEvent =
  | { readonly type: 'call.started'; readonly call: Call }
  | ({
      readonly type: 'call.participant-joined';
      readonly call: Call;
      readonly joined: CallParticipant;
    } & CallAccount)
  | ({
      readonly type: 'call.participant-left';
      readonly call: Call;
      readonly left: CallParticipant;
      readonly reason: CallLeaveReason;
    } & CallAccount)
  | { readonly type: 'call.ended'; readonly call: Call };

/** Events of a single account. The last two only end the server's own connections and are not shown to clients. */
export type AccountEvent =
  | {
      readonly type: 'circle.invited';
      readonly userId: UserId;
      readonly invitation: Invitation;
      readonly circle: Circle;
    }
  | { readonly type: 'conversation.invited'; readonly userId: UserId; readonly conversation: Conversation }
  | { readonly type: 'conversation.promoted'; readonly userId: UserId; readonly conversation: Conversation }
  /** An account has read the messages of a conversation up to one. */
  | {
      readonly type: 'read-state.changed';
      readonly reader: ActorRef;
      readonly conversation: Conversation;
      readonly messageId: MessageId;
      /** For nodes of the former release, which do not know this type: their streams skip redacted events. */
      readonly redacted: true;
    }
  /** Ends the sessions of one token or of one family, or with null of all tokens issued so far. */
  | {
      readonly type: 'session.ended';
      readonly account: ActorRef;
      readonly tokenId: string | null;
      /** With null: tokens of this generation were issued later, and stay valid. */
      readonly generation?: number;
      /** With null: the one token that stays valid. */
      readonly keptTokenId?: string;
    }
  | { readonly type: 'account.deleted'; readonly account: ActorRef };

/**
 * A committed fact. The switches over `type` have no `default`: a new event type fails to compile until each handles
 * it.
 */
export type DomainEvent = ConversationEvent | CallEvent | CircleEvent | AccountEvent;

/** An event that contains a message. */
export type MessageEvent = Extract<DomainEvent, MessageFields>;

/**
 * A bus address and the name of a log: `circle:3`, `conversation:12`, `user:7`, `device:4`; `call:12` for the calls in
 * conversation 12. Two have no log: `media:12`, of inspections of files in conversation 12, and `read:12`, of its read receipts.
 */
export type Topic = `${'call' | 'circle' | 'conversation' | 'media' | 'read' | 'user' | 'device'}:${number}`;

/**
 * An event with `seq`, its position in the topic's log. Positions start at 1, have no gaps, and follow the order of
 * commits. Names that end in `Seq` hold positions.
 */
export interface Envelope {
  readonly topic: Topic;
  readonly seq: number;
  /** Time of the commit. */
  readonly at: Timestamp;
  readonly event: DomainEvent;
}

/** An item that is not persisted: the bus delivers it once, to the current listeners. */
export type Ephemeral =
  | { readonly type: 'typing'; readonly topic: Topic; readonly actor: ActorView; readonly isTyping: boolean }
  | { readonly type: 'presence'; readonly topic: Topic; readonly actor: ActorView; readonly online: boolean }
  | {
      readonly type: 'signal';
      readonly topic: Topic;
      readonly sender: ActorView;
      readonly content: unknown;
      /** Lease of the one legacy connection that receives it; null when the target has none. */
      readonly legacyLease: number | null;
    }
  /** Not sent to the topic of the conversation, as legacy clients and older nodes do not know it. */
  | { readonly type: 'media-inspected'; readonly topic: Topic; readonly media: Media }
  /** A participant, or the device, has read up to a message. As above, has a topic of its own. */
  | { readonly type: 'read-receipt'; readonly topic: Topic; readonly receipt: ReadReceipt };

export const circleTopic = (id: CircleId): Topic => `circle:${id}`;
export const conversationTopic = (id: ConversationId): Topic => `conversation:${id}`;
export const callTopic = (id: ConversationId): Topic => `call:${id}`;
export const inspectionTopic = (id: ConversationId): Topic => `media:${id}`;
export const receiptTopic = (id: ConversationId): Topic => `read:${id}`;
export const accountTopic = (actor: ActorRef): Topic => `${actor.kind}:${actor.id}`;
export const isAccountTopic = (topic: Topic): boolean =>
  topic.startsWith('user:') || topic.startsWith('device:');

/** Returns the topic to whose log the event belongs. */
export function topicOf(event: DomainEvent): Topic {
  switch (event.type) {
    case 'message.sent':
    case 'message.updated':
    case 'media.uploaded':
      return conversationTopic(event.message.conversationId);
    case 'message.deleted':
      return conversationTopic(event.conversationId);
    case 'conversation.updated':
    case 'conversation.deleted':
    case 'device-access.changed':
      return conversationTopic(event.conversation.id);
    case 'participant.joined':
    case 'participant.left':
    case 'participant.kicked':
    case 'participant.promoted':
      return conversationTopic(event.participant.conversationId);
    case 'call.started':
    case 'call.participant-joined':
    case 'call.participant-left':
    case 'call.ended':
      return callTopic(event.call.conversationId);
    case 'circle.updated':
    case 'circle.deleted':
      return circleTopic(event.circle.id);
    case 'member.joined':
    case 'member.left':
    case 'member.kicked':
      return circleTopic(event.circleId);
    case 'device.added':
    case 'device.updated':
    case 'device.removed':
      return circleTopic(event.device.circleId);
    case 'circle.invited':
    case 'conversation.invited':
    case 'conversation.promoted':
      return accountTopic({ kind: 'user', id: event.userId });
    case 'read-state.changed':
      return accountTopic(event.reader);
    case 'session.ended':
    case 'account.deleted':
      return accountTopic(event.account);
  }
}

const EVENT_OVERHEAD_BYTES = 1_000;

/** Estimates the memory of an event in bytes. */
export function approximateSize(event: DomainEvent): number {
  if (!('message' in event)) return EVENT_OVERHEAD_BYTES;
  return EVENT_OVERHEAD_BYTES * (1 + event.media.length) + 2 * event.message.text.length;
}

/** Checks whether streams deliver the event to clients. The server itself acts on the others. */
export const isClientVisible = (event: DomainEvent): boolean =>
  event.type === 'read-state.changed' ||
  (event.type !== 'session.ended' &&
    event.type !== 'account.deleted' &&
    !('redacted' in event && event.redacted === true));

/** Returns the reason why this event ends the actor's access to its topic; undefined if it does not. */
export function accessEndReason(actor: ActorRef, event: DomainEvent): EndReason | undefined {
  const isUser = (user: User) => actor.kind === 'user' && actor.id === user.id;
  switch (event.type) {
    case 'participant.left':
    case 'member.left':
      if (!isUser(event.user)) return undefined;
      return event.deleted ? 'ACCOUNT_DELETED' : 'LEFT';
    case 'participant.kicked':
    case 'member.kicked':
      return isUser(event.user) ? 'KICKED' : undefined;
    case 'conversation.deleted':
    case 'circle.deleted':
      return 'DELETED';
    case 'device-access.changed':
      if (actor.kind !== 'device' || event.allowed) return undefined;
      return event.removed ? 'ACCOUNT_DELETED' : 'ACCESS_REMOVED';
    case 'device.removed':
      return actor.kind === 'device' && actor.id === event.device.id ? 'ACCOUNT_DELETED' : undefined;
    case 'account.deleted':
      return 'ACCOUNT_DELETED';
    case 'message.sent':
    case 'message.updated':
    case 'message.deleted':
    case 'media.uploaded':
    case 'conversation.updated':
    case 'participant.joined':
    case 'participant.promoted':
    case 'circle.updated':
    case 'member.joined':
    case 'device.added':
    case 'device.updated':
    case 'circle.invited':
    case 'conversation.invited':
    case 'conversation.promoted':
    case 'read-state.changed':
    case 'session.ended':
    case 'call.started':
    case 'call.participant-joined':
    case 'call.participant-left':
    case 'call.ended':
      return undefined;
  }
}

/** An event that ends sessions on every node. Other ends of access are ordered with the events of their topic. */
export type Revocation = Extract<AccountEvent, { readonly account: ActorRef }>;

export const isRevocation = (event: DomainEvent): event is Revocation =>
  event.type === 'session.ended' || event.type === 'account.deleted';

export const actorRefOf = (view: ActorView): ActorRef =>
  view.kind === 'user' ? { kind: 'user', id: view.user.id } : { kind: 'device', id: view.device.id };

/** Converts an entry of the log to an envelope. Not validated, because only `transact` writes to the log. */
export function toEnvelope(entry: { topic: string; seq: number; at: Timestamp; event: unknown }): Envelope {
  return { topic: entry.topic as Topic, seq: entry.seq, at: entry.at, event: entry.event as DomainEvent };
}
