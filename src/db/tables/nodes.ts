import type { Generated, GeneratedAlways } from 'kysely';
import type { ActorKind } from '../../actor.ts';
import type { Timestamp, LeaseKind } from './types.ts';

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

export interface SettingsTable {
  name: string;
  value: string;
}
