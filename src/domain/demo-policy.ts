import { hostOf, isLoopback } from '../config.ts';
import type { Config } from '../config.ts';
import { readSetting } from '../db/settings.ts';
import type { User } from '../db/tables.ts';
import { findPasswordHash } from '../db/passwords.ts';
import * as users from '../db/users.ts';
import type { UserId } from '../ids.ts';
import { parseId } from '../ids.ts';
import type { Deps } from './deps.ts';

export const DEMO_PASSWORD = 'parley';
/** Setting with the ids of the demo accounts: their e-mails may change. */
export const DEMO_ACCOUNTS_SETTING = 'demo-accounts';

/** Checks whether accounts with a published password may be used: never where other machines can connect. */
export const isDemoAllowed = (config: Config): boolean =>
  config.DEMO !== 'off' && config.PASSWORD_LOGIN === 'on' && isLoopback(hostOf(config));

/** Finds the demo accounts that still have their published password. */
export async function findDemoAccounts({ db, passwords }: Pick<Deps, 'db' | 'passwords'>): Promise<User[]> {
  const found = await Promise.all(
    (await findDemoIds(db)).map(async (id) => {
      const stored = await findPasswordHash(db, id);
      const isPublished = await passwords.verify(DEMO_PASSWORD, stored?.passwordHash ?? null);
      return isPublished ? ((await users.findById(db, id)) ?? []) : [];
    }),
  );
  return found.flat();
}

/**
 * Checks whether a login must be rejected although its password is correct: demo accounts are not allowed here, and
 * this is one. Reads the database, as another node may have created it since this one started.
 */
export async function isForbiddenDemoLogin(
  { db, config }: Pick<Deps, 'db' | 'config'>,
  id: UserId,
  password: string,
): Promise<boolean> {
  return password === DEMO_PASSWORD && !isDemoAllowed(config) && (await findDemoIds(db)).includes(id);
}

async function findDemoIds(db: Deps['db']): Promise<UserId[]> {
  const listed = (await readSetting(db, DEMO_ACCOUNTS_SETTING))?.split(',') ?? [];
  return listed.flatMap((id) => parseId<'User'>(id) ?? []);
}
