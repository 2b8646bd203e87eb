import type { Session } from '../actor.ts';
import type { Tx } from '../db/database.ts';
import { findPasswordHash, setPasswordHash } from '../db/passwords.ts';
import { endAll, isActive } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import { forbidden, unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import { parsePassword } from '../lib/text.ts';
import type { HashCaller } from '../services/passwords.ts';
import { SERVER_CLIENT } from './authentication.ts';
import type { Client } from './authentication.ts';
import { requireCaller } from './circle-access.ts';
import type { Deps } from './deps.ts';

/** A password that was checked. */
export interface CheckedPassword {
  /** The stored hash at that time; null for an account without a password. */
  readonly passwordHash: string | null;
  /** On whose account a new password is hashed. */
  readonly caller: HashCaller | undefined;
}

/**
 * Checks the password of the session's account, unless it has none. Throws FORBIDDEN if the password is wrong,
 * RATE_LIMITED. The check takes long: `isStillValid` must follow in the transaction that relies on it.
 */
export async function checkOwnPassword(
  deps: Deps,
  { actor, family, tokenId }: Session,
  password: string,
  { address }: Client,
): Promise<CheckedPassword> {
  if (actor.kind !== 'user') throw forbidden('A device may not do this.');
  const found = await findPasswordHash(deps.db, actor.id);
  if (found === undefined) throw unauthenticated();
  const { passwordHash } = found;
  if (passwordHash === null) return { passwordHash, caller: undefined };
  const client = { address, session: family?.id ?? tokenId };
  const attempt = { account: actor, name: '', password, passwordHash, client };
  const caller = await deps.loginAttempts.run(attempt, async (hashCaller) =>
    (await deps.passwords.verify(password, passwordHash, hashCaller)) ? hashCaller : undefined,
  );
  if (caller !== undefined) return { passwordHash, caller };
  deps.securityLog.record('password check failed', { account: actor, address });
  throw forbidden('The password is wrong.');
}

/**
 * Whether the account still has the password that was checked; the account's lock must be held. Throws UNAUTHENTICATED if
 * the session has ended since.
 */
export async function isStillValid(
  tx: Tx,
  session: Session,
  { passwordHash }: CheckedPassword,
): Promise<boolean> {
  const found = session.actor.kind === 'user' && (await findPasswordHash(tx, session.actor.id));
  if (!found || !(await isActive(tx, session))) throw unauthenticated();
  return found.passwordHash === passwordHash;
}

/**
 * Changes the password and ends all other sessions of the account. Throws FORBIDDEN if `current` is wrong, or the
 * account has no password; RATE_LIMITED.
 */
export async function changePassword(
  deps: Deps,
  session: Session,
  input: { readonly current: string; readonly next: string },
  client = SERVER_CLIENT,
): Promise<User> {
  const next = parsePassword('next', input.next);
  for (;;) {
    const checked = await checkOwnPassword(deps, session, input.current, client);
    if (checked.caller === undefined)
      throw forbidden('The account has no password: it logs in through its identity provider.');
    const passwordHash = await deps.passwords.hash(next, checked.caller);
    const changed = await transact(deps, (unit) =>
      tryChangePassword(unit, session, { checked, passwordHash }),
    );
    if (changed === undefined) continue;
    deps.securityLog.record('password changed', { account: session.actor, address: client.address });
    return changed;
  }
}

/** Returns undefined if the password has changed since it was checked: try again. */
async function tryChangePassword(
  unit: UnitOfWork,
  session: Session,
  { checked, passwordHash }: { readonly checked: CheckedPassword; readonly passwordHash: string },
): Promise<User | undefined> {
  const { actor, tokenId } = session;
  await unit.lock(accountTopic(actor));
  const user = await requireCaller(unit.tx, actor);
  if (!(await isStillValid(unit.tx, session, checked))) return undefined;
  const generation = await endAll(unit.tx, actor, tokenId);
  if (generation === undefined) throw unauthenticated();
  unit.emit({
    type: 'session.ended',
    account: actor,
    tokenId: null,
    generation,
    keptTokenId: tokenId,
  });
  return setPasswordHash(unit.tx, user.id, passwordHash);
}
