import { readSnapshot } from '../db/database.ts';
import type { Deps } from './deps.ts';

/** Runs reads that must agree with each other, such as data and the cursor to subscribe after. */
export function inSnapshot<Result>(deps: Deps, work: (deps: Deps) => Promise<Result>): Promise<Result> {
  return readSnapshot(deps.db, (db) => work({ ...deps, db }));
}
