import type { ColumnType, Generated, GeneratedAlways, Selectable } from 'kysely';
import type { ActorKind } from '../actor.ts';
import type {
  CircleId,
  ConversationId,
  DeviceId,
  InvitationId,
  MediaId,
  MembershipId,
  MessageId,
  ParticipantId,
  UserId,
} from '../ids.ts';

/** A moment as ISO 8601 in UTC with milliseconds: JSON-safe, so that a row and its copy in an event are the same thing. */
export type Timestamp = string;

type CreatedAt = ColumnType<Timestamp, never, never>;
type UpdatedAt = ColumnType<Timestamp, never, Timestamp>;

export type CircleRole = 'ADMIN' | 'MEMBER';
export type ConversationRole = 'ADMIN' | 'STANDARD';
export type MessageStatus = 'PENDING' | 'DONE';
export type LeaseKind = 'graphql' | 'signals' | 'legacy';

export interface UsersTable {
  id: GeneratedAlways<UserId>;
  email: string;
  /** `emailKey` of it; null when another account from before there were keys has the same, or an older node wrote it. */
  emailKey: ColumnType<string | null, string | null | undefined, string>;
  /** The e-mail that `emailKey` is of: the key counts only while this is the e-mail. */
  keyedEmail: ColumnType<string | null, string | null | undefined, string>;
  /** Null for accounts of an outside identity provider. */
  passwordHash: string | null;
  /** `<issuer> <subject>` at the outside identity provider. */
  subject: string | null;
  /** Tokens of ours that were issued before are not accepted any more; null when all are. */
  sessionsSince: Timestamp | null;
  firstName: string;
  lastName: string;
  birthday: string | null;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface CirclesTable {
  id: GeneratedAlways<CircleId>;
  name: string;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface DevicesTable {
  id: GeneratedAlways<DeviceId>;
  circleId: CircleId;
  name: string;
  username: string;
  passwordHash: string;
  activated: Generated<boolean>;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface MembershipsTable {
  id: GeneratedAlways<MembershipId>;
  circleId: CircleId;
  userId: UserId;
  role: CircleRole;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface InvitationsTable {
  id: GeneratedAlways<InvitationId>;
  circleId: CircleId;
  userId: UserId;
  invitedById: UserId | null;
  createdAt: CreatedAt;
}

export interface ConversationsTable {
  id: GeneratedAlways<ConversationId>;
  circleId: CircleId;
  name: string;
  deviceAccess: Generated<boolean>;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface ParticipantsTable {
  id: GeneratedAlways<ParticipantId>;
  conversationId: ConversationId;
  userId: UserId;
  role: ConversationRole;
  createdAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface MessagesTable {
  id: GeneratedAlways<MessageId>;
  conversationId: ConversationId;
  authorUserId: UserId | null;
  authorDeviceId: DeviceId | null;
  /** The participant as which a user sent it; stays when that participant is gone. Null for devices. */
  participantId: ParticipantId | null;
  text: string;
  status: MessageStatus;
  mediaCount: number;
  sentAt: CreatedAt;
  updatedAt: UpdatedAt;
}

export interface MediaTable {
  id: GeneratedAlways<MediaId>;
  messageId: MessageId;
  /** What the sender called the file when announcing it. */
  identifier: string;
  filename: string | null;
  extension: string | null;
  contentType: string | null;
  size: number | null;
  storageName: string | null;
  uploadedAt: Timestamp | null;
}

/** Stored files that no row names any more, until they are removed. Filled by a trigger on `media`. */
export interface UnusedFilesTable {
  storageName: string;
}

/** First answers of sends that carried a key, so that a retry gets the same one. */
export interface IdempotencyKeysTable {
  /** Topic of the account: `user:7`, `device:4`. */
  account: string;
  key: string;
  messageId: MessageId;
  createdAt: CreatedAt;
}

export interface TopicsTable {
  topic: string;
  /** Position of the newest event; 0 before the first. */
  head: ColumnType<number, never, number>;
  /** Newest position that was trimmed away; readers at or after it have missed nothing. */
  trimmed: ColumnType<number, never, number>;
}

export interface EventsTable {
  topic: string;
  seq: number;
  event: ColumnType<unknown, string, never>;
  at: Timestamp;
}

export interface RevokedTokensTable {
  /** `jti`, or `sha256:<hash>` of a token without one. */
  tokenId: string;
  expiresAt: Timestamp;
}

export interface NodesTable {
  id: string;
  seenAt: Timestamp;
}

export interface LeasesTable {
  /** Grows with every authentication anywhere: the newest of an account is the greatest. */
  id: GeneratedAlways<number>;
  nodeId: string;
  kind: LeaseKind;
  actorKind: ActorKind;
  actorId: number;
  /** When the connection ended; the lease stays for the grace period. Null while it lives. */
  closedAt: Timestamp | null;
}

export interface PresenceTable {
  actorKind: ActorKind;
  actorId: number;
  online: boolean;
}

/** How often each account used each legacy channel, by day. */
export interface ChannelUsesTable {
  day: string;
  channel: string;
  /** Of Engine.IO. */
  protocol: number;
  library: string;
  /** Topic of the account; empty for clients that had not authenticated. */
  account: string;
  uses: number;
}

export interface SettingsTable {
  name: string;
  value: string;
}

export interface Tables {
  users: UsersTable;
  circles: CirclesTable;
  devices: DevicesTable;
  memberships: MembershipsTable;
  invitations: InvitationsTable;
  conversations: ConversationsTable;
  participants: ParticipantsTable;
  messages: MessagesTable;
  media: MediaTable;
  unusedFiles: UnusedFilesTable;
  idempotencyKeys: IdempotencyKeysTable;
  topics: TopicsTable;
  events: EventsTable;
  revokedTokens: RevokedTokensTable;
  nodes: NodesTable;
  leases: LeasesTable;
  presence: PresenceTable;
  channelUses: ChannelUsesTable;
  settings: SettingsTable;
}

/** Rows as the rest of the house sees them: secrets stay in `db/`. All are JSON-safe. */
export type User = Omit<
  Selectable<UsersTable>,
  'emailKey' | 'keyedEmail' | 'passwordHash' | 'subject' | 'sessionsSince'
>;
export type Circle = Selectable<CirclesTable>;
export type Device = Omit<Selectable<DevicesTable>, 'passwordHash'>;
export type Membership = Selectable<MembershipsTable>;
export type Invitation = Selectable<InvitationsTable>;
export type Conversation = Selectable<ConversationsTable>;
export type Participant = Selectable<ParticipantsTable>;
export type Message = Selectable<MessagesTable>;
export type Media = Omit<Selectable<MediaTable>, 'storageName'>;
