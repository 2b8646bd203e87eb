import { openSnapshot as openDatabaseSnapshot } from '../db/database.ts';
import type { Deps } from './deps.ts';

/** Dependencies whose reads agree with each other, such as data and the cursor to subscribe after. */
export interface Snapshot {
  readonly deps: Deps;
  close(): Promise<void>;
}

/** Begins to read from one snapshot of the database, until it is closed. */
export async function openSnapshot(deps: Deps): Promise<Snapshot> {
  const { db, close } = await openDatabaseSnapshot(deps.db);
  return { deps: { ...deps, db }, close };
}
