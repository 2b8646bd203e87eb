import type { Config } from '../config.ts';
import type { Db } from '../db/database.ts';
import type { Bus } from '../events/bus.ts';
import type { Tails } from '../events/tail.ts';
import type { UserId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { Admissions } from './admissions.ts';
import type { Limits } from './limits.ts';
import type { Passwords } from './passwords.ts';
import type { Presence } from './presence.ts';
import type { Sends } from './sends.ts';
import type { MediaStorage } from './storage.ts';
import type { Tokens } from './tokens.ts';
import type { TypingSigns } from './typing-signs.ts';

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
  readonly admissions: Admissions;
  readonly presence: Presence;
  readonly storage: MediaStorage;
  readonly limits: Limits;
  readonly passwords: Passwords;
  /** Demo accounts that are not to be used here: no login and no token of theirs is accepted. */
  readonly lockedUsers: ReadonlySet<UserId>;
  readonly sends: Sends;
  readonly typing: TypingSigns;
}
