import type { ColumnType, Generated, GeneratedAlways } from 'kysely';
import type { CircleId, InvitationId, MembershipId, UserId } from '../../ids.ts';
import type { CreatedAt, UpdatedAt, Timestamp, CircleRole } from './types.ts';

export interface CirclesTable {
  id: GeneratedAlways<CircleId>;
  name: string;
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
