import type { ColumnType, Generated, GeneratedAlways } from 'kysely';
import type { AuditEntryId, CircleId, DeviceId, UserId } from '../../ids.ts';
import type { CreatedAt, UpdatedAt, Timestamp } from './types.ts';

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

/** The newest unused token of each account, which proves that it receives mail at the e-mail. */
export interface EmailVerificationsTable {
  userId: UserId;
  email: string;
  tokenHash: string;
  expiresAt: Timestamp;
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

/** Accounts that operators have blocked: one of the two ids is set. */
export interface AccountBlocksTable {
  userId: UserId | null;
  deviceId: DeviceId | null;
  /** Null until it is removed. */
  until: Timestamp | null;
  reason: string;
  blockedAt: CreatedAt;
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

/** Uses per hour of what is limited, for all nodes. */
export interface HourlyCountsTable {
  subject: string;
  hour: Timestamp;
  count: number;
}
