import type { ColumnType, Generated, GeneratedAlways, Selectable } from 'kysely';
import type { ActorKind, ActorRef } from '../actor.ts';
import type {
  AuditEntryId,
  CallId,
  CallParticipantId,
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

/** ISO 8601 in UTC with milliseconds. A string, so that a row and its copy in an event (JSON) are equal. */
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
  /** `emailKey` of the e-mail; null if an older account has the same key, or an older node wrote the row. */
  emailKey: ColumnType<string | null, string | null | undefined, string>;
  /** The e-mail from which `emailKey` was computed. The key is valid only while both e-mails are equal. */
  keyedEmail: ColumnType<string | null, string | null | undefined, string>;
  /** Null for accounts of an external identity provider. */
  passwordHash: string | null;
  /** `<issuer> <subject>` of the external identity provider. */
  subject: string | null;
  /** Tokens issued before this time are rejected; null accepts all. */
  sessionsSince: Timestamp | null;
  /** Tokens of earlier generations are rejected, but for `keptTokenId`. */
  sessionGeneration: Generated<number>;
  keptTokenId: ColumnType<string | null, string | null | undefined, string | null>;
  /** Tokens of the identity provider that were issued before this time are rejected; null accepts all. */
  externalTokensSince: ColumnType<Timestamp | null, Timestamp | null | undefined, Timestamp | null>;
  /** The e-mail that the account has proved to own. It is verified while `email` equals it. */
  verifiedEmail: ColumnType<string | null, string | null | undefined, string | null>;
  /** Whether the account blocks the invitations of everyone. */
  blocksInvitations: Generated<boolean>;
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
  sessionGeneration: Generated<number>;
  keptTokenId: ColumnType<string | null, string | null | undefined, string | null>;
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
  /** The e-mail as the inviter wrote it; null if an older node wrote the row. */
  email: ColumnType<string | null, string | null | undefined, never>;
  createdAt: CreatedAt;
}

/** Invitations that no account has received yet. They keep their id when they are delivered. */
export interface HeldInvitationsTable {
  id: Generated<InvitationId>;
  circleId: CircleId;
  invitedById: UserId | null;
  email: string;
  emailKey: string;
  createdAt: ColumnType<Timestamp, Timestamp | undefined, never>;
}

export interface InvitationBlocksTable {
  userId: UserId;
  inviterId: UserId;
  createdAt: CreatedAt;
}

/** Uses per hour of what is limited, for all nodes. */
export interface HourlyCountsTable {
  subject: string;
  hour: Timestamp;
  count: number;
}

/** The newest unused token of each account, which proves that it receives mail at the e-mail. */
export interface EmailVerificationsTable {
  userId: UserId;
  email: string;
  tokenHash: string;
  expiresAt: Timestamp;
}

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

export interface MediaTable {
  id: GeneratedAlways<MediaId>;
  messageId: MessageId;
  /** Client-side identifier of the file, from the send. */
  identifier: string;
  filename: string | null;
  extension: string | null;
  contentType: string | null;
  size: number | null;
  storageName: string | null;
  uploadedAt: Timestamp | null;
}

/** Stored images, audio and video: to be inspected, or what the inspection found. Filled by a trigger on `media`. */
export interface MediaDetailsTable {
  storageName: string;
  /** May refer to another file by now, or no longer exist. */
  mediaId: MediaId;
  /** Its author, until it is inspected. */
  account: string;
  /** How often a node has claimed the file. */
  attempts: number;
  claimedUntil: Timestamp | null;
  inspectedAt: Timestamp | null;
  /** Pixels, as displayed. */
  width: number | null;
  height: number | null;
  /** Seconds. */
  duration: number | null;
  /** A WebP image. */
  preview: Buffer | null;
}

/** Removed files whose details were locked then, and remain to be deleted. Filled by a trigger on `unused_files`. */
export interface UnusedDetailsTable {
  storageName: string;
}

/** Stored files without a media row, to be deleted. Filled by a trigger on `media`. */
export interface UnusedFilesTable {
  storageName: string;
}

/** Bytes that accounts uploaded, by day in UTC. */
export interface UploadUsageTable {
  /** Topic of the account. */
  account: string;
  day: string;
  bytes: number;
}

/** Files that are being stored, or that may be left behind, and to which no media refers. */
export interface UnfinishedUploadsTable {
  storageName: string;
  startedAt: CreatedAt;
  /** Id in the storage of an upload in parts, which must be aborted. */
  partUploadId: Generated<string | null>;
  /** Whether a media has a copy. Its client may store the file again until the URL expires. */
  isFinished: Generated<boolean>;
}

/** Uploads that arrive in several requests, in order. */
export interface ResumableUploadsTable {
  mediaId: MediaId;
  /** Under which the bytes are stored that have arrived. */
  storageName: string;
  /** Topic of the account. */
  account: string;
  /** As sent by the client: the name of the file, among others. */
  metadata: string;
  size: number;
  /** Bytes that survive a crash. */
  received: Generated<number>;
  /** The request that may add bytes: the newest. */
  writer: string | null;
  isFinished: Generated<boolean>;
  expiresAt: Timestamp;
}

/** Messages of sends with an idempotency key, so that a retry returns the same message. */
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
}

export interface EventsTable {
  topic: string;
  seq: number;
  event: ColumnType<unknown, string, never>;
  at: Timestamp;
  /** The message of an event that contains one. */
  messageId: ColumnType<MessageId | null, never, never>;
  /** Topics of the accounts, conversations and circles whose data any other event contains. */
  subjects: ColumnType<string[] | null, never, never>;
}

/** Topics that may have more events than the log keeps. */
export interface LogTrimsTable {
  id: GeneratedAlways<number>;
  topic: string;
}

/** Work that one node of the cluster does at a time. */
export interface SweepsTable {
  name: string;
  /** When the next node may start it. */
  dueAt: Timestamp;
}

export interface RevokedTokensTable {
  /** `jti`, or `sha256:<hash>` of a token without one. */
  tokenId: string;
  expiresAt: Timestamp;
}

/** Tokens that were refreshed: one that is refreshed again later was stolen. */
export interface RefreshedTokensTable {
  tokenId: string;
  refreshedAt: CreatedAt;
  expiresAt: Timestamp;
}

/** Subjects of an identity provider whose accounts were deleted, hashed. Their earlier tokens are rejected. */
export interface DeletedSubjectsTable {
  subjectHash: string;
  deletedAt: ColumnType<Timestamp, never, Timestamp>;
}

/** Failed logins by subject (`services/login-attempts.ts`). */
export interface LoginFailuresTable {
  subject: string;
  failures: number;
  lastAt: Timestamp;
}

/** Addresses from which an account has logged in. */
export interface KnownClientsTable {
  account: string;
  client: string;
  seenAt: Timestamp;
}

export interface NodesTable {
  id: string;
  seenAt: Timestamp;
  /** Null without `NODE_NAME`, and for nodes of an older version. */
  name: Generated<string | null>;
  /** Null for nodes of an older version. */
  version: Generated<string | null>;
  /** Null while it runs, and for nodes of an older version. */
  stoppedAt: Generated<Timestamp | null>;
  /** 0 for nodes of an older version, which do not detect events that were removed without a record in `topics`. */
  logVersion: number;
}

/** The heartbeats of nodes whose rows were locked by another program. */
export interface HeartbeatsTable {
  id: GeneratedAlways<number>;
  nodeId: string;
  seenAt: Generated<Timestamp>;
}

export interface LeasesTable {
  /** Ascends across all nodes: the newest lease of an account has the greatest id. */
  id: GeneratedAlways<number>;
  nodeId: string;
  kind: LeaseKind;
  actorKind: ActorKind;
  actorId: number;
  /** Time at which the connection closed; the lease remains for the grace period. Null while it is open. */
  closedAt: Timestamp | null;
}

export interface PresenceTable {
  actorKind: ActorKind;
  actorId: number;
  online: boolean;
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

/** Uses of legacy channels by day and account. */
export interface ChannelUsesTable {
  day: string;
  channel: string;
  /** Engine.IO protocol version. */
  protocol: number;
  library: string;
  /** Topic of the account; empty for unauthenticated clients. */
  account: string;
  uses: number;
}

/** Actions of operators. */
export interface AuditLogTable {
  id: GeneratedAlways<AuditEntryId>;
  at: CreatedAt;
  /** The mutation. */
  action: string;
  arguments: ColumnType<unknown, string, never>;
  reason: string | null;
  /** The address of the operator. */
  address: string;
  /** The node that received it. */
  nodeId: string;
  /** Null without `NODE_NAME`, and for nodes of an older version. */
  nodeName: Generated<string | null>;
  /** `OK` or an error code; null until the action has ended. */
  outcome: ColumnType<string | null, never, string>;
}

/** Accounts that operators have blocked: one of the two ids is set. */
export interface AccountBlocksTable {
  userId: UserId | null;
  deviceId: DeviceId | null;
  /** Null until it is removed. */
  until: Timestamp | null;
  reason: string;
  blockedAt: CreatedAt;
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
  heldInvitations: HeldInvitationsTable;
  invitationBlocks: InvitationBlocksTable;
  hourlyCounts: HourlyCountsTable;
  emailVerifications: EmailVerificationsTable;
  conversations: ConversationsTable;
  participants: ParticipantsTable;
  messages: MessagesTable;
  media: MediaTable;
  mediaDetails: MediaDetailsTable;
  unusedDetails: UnusedDetailsTable;
  unusedFiles: UnusedFilesTable;
  uploadUsage: UploadUsageTable;
  unfinishedUploads: UnfinishedUploadsTable;
  resumableUploads: ResumableUploadsTable;
  idempotencyKeys: IdempotencyKeysTable;
  topics: TopicsTable;
  events: EventsTable;
  logTrims: LogTrimsTable;
  sweeps: SweepsTable;
  revokedTokens: RevokedTokensTable;
  refreshedTokens: RefreshedTokensTable;
  deletedSubjects: DeletedSubjectsTable;
  loginFailures: LoginFailuresTable;
  knownClients: KnownClientsTable;
  heartbeats: HeartbeatsTable;
  nodes: NodesTable;
  leases: LeasesTable;
  presence: PresenceTable;
  calls: CallsTable;
  callParticipants: CallParticipantsTable;
  channelUses: ChannelUsesTable;
  auditLog: AuditLogTable;
  accountBlocks: AccountBlocksTable;
  settings: SettingsTable;
}

// Rows as other layers see them, without secrets. All are JSON-safe, because events embed them.
export type User = Omit<
  Selectable<UsersTable>,
  | 'emailKey'
  | 'keyedEmail'
  | 'passwordHash'
  | 'subject'
  | 'sessionsSince'
  | 'sessionGeneration'
  | 'keptTokenId'
  | 'externalTokensSince'
  | 'verifiedEmail'
  | 'blocksInvitations'
>;
export type Circle = Selectable<CirclesTable>;
export type Device = Omit<Selectable<DevicesTable>, 'passwordHash' | 'sessionGeneration' | 'keptTokenId'>;
export type Membership = Selectable<MembershipsTable>;
/** An invitation as its invitee sees it. */
export type Invitation = Omit<Selectable<InvitationsTable>, 'email'>;
/** An invitation as its circle sees it: delivered or not, which the circle cannot tell. */
export type CircleInvitation = Omit<Invitation, 'userId'> & {
  /** The e-mail as the inviter wrote it; null if an older node wrote the row. */
  readonly email: string | null;
  /** Null until it is delivered. */
  readonly userId: UserId | null;
};
export type Conversation = Omit<
  Selectable<ConversationsTable>,
  'deviceLastReadId' | 'deviceLastReadAt' | 'devicePrivateReadId'
>;
export type Participant = Omit<Selectable<ParticipantsTable>, 'lastReadId' | 'lastReadAt' | 'privateReadId'>;
export type Message = Selectable<MessagesTable>;
export type Call = Selectable<CallsTable>;
/** A participant as others see it. */
export interface CallParticipant {
  readonly id: CallParticipantId;
  readonly callId: CallId;
  readonly actor: ActorRef;
  readonly joinedAt: Timestamp;
}
export type Media = Omit<Selectable<MediaTable>, 'storageName'>;
