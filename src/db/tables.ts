import type { Selectable } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { CallId, CallParticipantId, UserId } from '../ids.ts';
import type {
  AccountBlocksTable,
  AuditLogTable,
  DeletedSubjectsTable,
  DevicesTable,
  EmailVerificationsTable,
  HourlyCountsTable,
  KnownClientsTable,
  LoginFailuresTable,
  RefreshedTokensTable,
  RevokedTokensTable,
  UsersTable,
} from './tables/accounts.ts';
import type {
  CirclesTable,
  HeldInvitationsTable,
  InvitationBlocksTable,
  InvitationsTable,
  MembershipsTable,
} from './tables/circles.ts';
import type {
  CallParticipantsTable,
  CallsTable,
  ConversationsTable,
  IdempotencyKeysTable,
  MessagesTable,
  ParticipantsTable,
} from './tables/conversations.ts';
import type { EventsTable, LogTrimsTable, SweepsTable, TopicsTable } from './tables/log.ts';
import type {
  MediaDetailsTable,
  MediaTable,
  ResumableUploadsTable,
  UnfinishedUploadsTable,
  UnusedDetailsTable,
  UnusedFilesTable,
  UploadUsageTable,
} from './tables/media.ts';
import type {
  ChannelUsesTable,
  HeartbeatsTable,
  LeasesTable,
  NodesTable,
  PresenceTable,
  SettingsTable,
} from './tables/nodes.ts';
import type { Timestamp } from './tables/types.ts';

export type { CircleRole, ConversationRole, LeaseKind, Timestamp } from './tables/types.ts';

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
