import type { Db } from './database.ts';
import { now } from './sql.ts';

/** A node that has registered, and has not stopped, as operators see it even when it does not answer. */
export interface LiveNode {
  readonly id: string;
  /** Null without `NODE_NAME`, and for nodes of older versions. */
  readonly name: string | null;
  /** Null for nodes of older versions. */
  readonly version: string | null;
}

/** Records that a node stops. Its leases last for a grace period, and its row with them. */
export async function markStopped(db: Db, nodeId: string): Promise<void> {
  await db.updateTable('nodes').set({ stoppedAt: now }).where('id', '=', nodeId).execute();
}

/** Includes nodes whose heartbeats are late, as after an outage of the database, and dead ones until others remove them. */
export async function listLiveNodes(db: Db): Promise<LiveNode[]> {
  return db
    .selectFrom('nodes')
    .select(['id', 'name', 'version'])
    .where('stoppedAt', 'is', null)
    .orderBy('id')
    .execute();
}
