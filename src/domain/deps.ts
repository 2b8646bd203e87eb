import type { Config } from '../config.ts';
import type { Db } from '../db/database.ts';
import type { Bus } from '../events/bus.ts';
import type { Tails } from '../events/tail.ts';
import type { UserId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { BatchedReads } from '../db/batched-reads.ts';
import type { RateLimits } from '../services/rate-limits.ts';
import type { Passwords } from '../services/passwords.ts';
import type { Presence } from '../services/presence.ts';
import type { SendBatcher } from './send-batch.ts';
import type { MediaStorage } from '../services/media-storage.ts';
import type { Tokens } from '../services/tokens.ts';
import type { TypingPublisher } from '../services/typing-publisher.ts';
import { openSnapshot as openDatabaseSnapshot } from '../db/database.ts';

/** What every domain function is handed. Built once, in `app.ts`. */
export interface Deps {
  readonly db: Db;
  readonly bus: Bus;
  readonly tails: Tails;
  /** Names the database, in every cursor. */
  readonly epoch: string;
  readonly config: Config;
  readonly log: Logger;
  readonly tokens: Tokens;
  readonly batchedReads: BatchedReads;
  readonly presence: Presence;
  readonly mediaStorage: MediaStorage;
  readonly rateLimits: RateLimits;
  readonly passwords: Passwords;
  /** Demo accounts that are not to be used here: no login and no token of theirs is accepted. */
  readonly lockedUsers: ReadonlySet<UserId>;
  readonly sendBatcher: SendBatcher;
  readonly typing: TypingPublisher;
}

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
