import type { ActorRef } from '../actor.ts';
import * as blocks from '../db/account-blocks.ts';
import type { AccountBlock } from '../db/account-blocks.ts';
import { findActors } from '../db/actors.ts';
import type { ActorRow } from '../db/actors.ts';
import { countConnections } from '../db/leases.ts';
import * as sessions from '../db/sessions.ts';
import type { Timestamp } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { invalidInput, notFound } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import { parseEmail, parseText } from '../lib/text.ts';
import type { Deps } from './deps.ts';

export type { AccountBlock } from '../db/account-blocks.ts';

/** An account as operators see it. */
export type Account = ActorRow;

const refOf = (account: Account): ActorRef =>
  account.kind === 'user' ? { kind: 'user', id: account.user.id } : { kind: 'device', id: account.device.id };

const MAX_REASON_LENGTH = 500;

/** Returns the account; undefined for an unknown one. */
export async function findAccount({ db }: Pick<Deps, 'db'>, actor: ActorRef): Promise<Account | undefined> {
  const [account] = await findActors(db, [actor]);
  return account;
}

/** Returns the user with the e-mail, as `login` finds it. Throws INVALID_INPUT for a text that is no e-mail. */
export async function findAccountByEmail(deps: Deps, email: string): Promise<Account | undefined> {
  const user = await users.findByEmail(deps.db, parseEmail('email', email));
  return user && findAccount(deps, { kind: 'user', id: user.id });
}

/** Returns the account. Throws NOT_FOUND. */
export async function requireAccount(deps: Deps, actor: ActorRef): Promise<Account> {
  const account = await findAccount(deps, actor);
  if (account === undefined) throw accountNotFoundError();
  return account;
}

const accountNotFoundError = () => notFound('The account');

/** Returns the block of the account that is in effect. */
export const findBlock = ({ db }: Deps, account: Account): Promise<AccountBlock | undefined> =>
  blocks.findBlock(db, refOf(account));

/** Returns the number of open connections of the account, on all nodes. */
export const countConnectionsOf = ({ db }: Deps, account: Account): Promise<number> =>
  countConnections(db, refOf(account));

/** Ends all sessions of the account, on every node. Throws NOT_FOUND. */
export async function revokeSessions(deps: Deps, actor: ActorRef): Promise<void> {
  await transact(deps, (unit) => endSessions(unit, actor));
}

/**
 * Ends all sessions of the account, and accepts no login and no token of it until a time, or until `unblockAccount`. Changes
 * the time and the reason of an account that is blocked. Throws NOT_FOUND, INVALID_INPUT.
 */
export async function blockAccount(
  deps: Deps,
  actor: ActorRef,
  input: { readonly until: Timestamp | null; readonly reason: string },
): Promise<void> {
  const reason = parseText('reason', input.reason, { max: MAX_REASON_LENGTH, visible: true });
  await transact(deps, async (unit) => {
    // A session that is opened meanwhile follows its topic before it checks the account.
    await endSessions(unit, actor);
    if (!(await blocks.block(unit.tx, actor, { until: input.until, reason })))
      throw invalidInput('until', 'until is not in the future.');
  });
}

async function endSessions(unit: UnitOfWork, actor: ActorRef): Promise<void> {
  await unit.lock(accountTopic(actor));
  const generation = await sessions.endAll(unit.tx, actor, null);
  if (generation === undefined) throw accountNotFoundError();
  unit.emit({ type: 'session.ended', account: actor, tokenId: null, generation });
}

/** Removes the block of the account, if it has one. Throws NOT_FOUND. */
export async function unblockAccount(deps: Deps, actor: ActorRef): Promise<void> {
  await requireAccount(deps, actor);
  await blocks.unblock(deps.db, actor);
}
