import { sql } from 'kysely';
import type { Db } from './database.ts';

/** A node that has registered, and has not stopped, as operators see it even when it does not answer. */
export interface LiveNode {
  readonly id: string;
  /** Null without `NODE_NAME`, and for nodes of older versions. */
  readonly name: string | null;
  /** Null for nodes of older versions. */
  readonly version: string | null;
}

/** Records that a node stops, unless its row is locked. Its leases last for a grace period, and its row with them. */
export async function markStopped(db: Db, nodeId: string): Promise<void> {
  await sql`update nodes set stopped_at = clock_timestamp() where id in (${freeNode(nodeId)})`.execute(db);
}

/** Selects the id of a node unless its row is locked. */
export const freeNode = (nodeId: string) =>
  sql`select id from nodes where id = ${nodeId} for update skip locked`;

/** Includes nodes whose heartbeats are late, as after an outage of the database, and dead ones until others remove them. */
export async function listLiveNodes(db: Db): Promise<LiveNode[]> {
  return db
    .selectFrom('nodes')
    .select(['id', 'name', 'version'])
    .where('stoppedAt', 'is', null)
    .orderBy('id')
    .execute();
}
