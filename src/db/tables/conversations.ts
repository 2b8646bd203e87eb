import type { ColumnType, Generated, GeneratedAlways } from 'kysely';
import type { ActorKind } from '../../actor.ts';
import type {
  CallId,
  CallParticipantId,
  CircleId,
  ConversationId,
  DeviceId,
  MessageId,
  ParticipantId,
  UserId,
} from '../../ids.ts';
import type { CreatedAt, UpdatedAt, Timestamp, ConversationRole, MessageStatus } from './types.ts';

export interface ConversationsTable {
  id: GeneratedAlways<ConversationId>;
  circleId: CircleId;
  name: string;
  deviceAccess: Generated<boolean>;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
  /** The message up to which the circle's device has read. A trigger sets it when the device is given access. */
  deviceLastReadId: ColumnType<MessageId, never, MessageId>;
  /** Time of the last change of `deviceLastReadId` by a mark; null before the first. */
  deviceLastReadAt: ColumnType<Timestamp | null, never, Timestamp>;
  /** Whether participants see how far the others have read. */
  readReceipts: Generated<boolean>;
  /** As `privateReadId` of participants, for the device. */
  devicePrivateReadId: ColumnType<MessageId, never, MessageId>;
}

export interface ParticipantsTable {
  id: GeneratedAlways<ParticipantId>;
  conversationId: ConversationId;
  userId: UserId;
  role: ConversationRole;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
  /** The message up to which the user has read, which may have been deleted; 0 for none. A trigger sets it at first. */
  lastReadId: ColumnType<MessageId, never, MessageId>;
  /** Time of the last change of `lastReadId` by a mark; null before the first. */
  lastReadAt: ColumnType<Timestamp | null, never, Timestamp>;
  /**
   * What `lastReadId` was when `readReceipts` was turned on, or when the user joined: others do not see that the user has read
   * up to there.
   */
  privateReadId: ColumnType<MessageId, never, MessageId>;
}

export interface MessagesTable {
  id: GeneratedAlways<MessageId>;
  conversationId: ConversationId;
  authorUserId: UserId | null;
  authorDeviceId: DeviceId | null;
  /** The sender's participant, which may have been deleted since. Null for devices. */
  participantId: ParticipantId | null;
  text: string;
  status: MessageStatus;
  mediaCount: number;
  sentAt: CreatedAt;
  updatedAt: UpdatedAt;
}

/** Messages of sends with an idempotency key, so that a retry returns the same message. */
export interface IdempotencyKeysTable {
  /** Topic of the account: `user:7`, `device:4`. */
  account: string;
  key: string;
  messageId: MessageId;
  createdAt: CreatedAt;
}

/** Calls in progress: at most one in each conversation. */
export interface CallsTable {
  id: GeneratedAlways<CallId>;
  conversationId: ConversationId;
  startedAt: CreatedAt;
}

/** Participants of calls: one row for each device or program of an account. */
export interface CallParticipantsTable {
  id: GeneratedAlways<CallParticipantId>;
  callId: CallId;
  actorKind: ActorKind;
  actorId: number;
  /** Whether it takes part by `webrtc_forward`. */
  isLegacy: boolean;
  idempotencyKey: string | null;
  /** The node that extends it. */
  nodeId: string;
  joinedAt: CreatedAt;
  /** After this it has left. */
  expiresAt: Timestamp;
}
