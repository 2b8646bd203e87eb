import type { ActorRef } from '../actor.ts';
import { findActors } from '../db/actors.ts';
import type { ActorRow } from '../db/actors.ts';
import * as sessions from '../db/sessions.ts';
import { notFound } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { Deps } from './deps.ts';

/** An account as operators see it. */
export type Account = ActorRow;

/** Returns the account. Throws NOT_FOUND. */
export async function requireAccount({ db }: Pick<Deps, 'db'>, actor: ActorRef): Promise<Account> {
  const [account] = await findActors(db, [actor]);
  if (account === undefined) throw accountNotFound();
  return account;
}

const accountNotFound = () => notFound('The account');

/** Ends all sessions of the account, on every node. Throws NOT_FOUND. */
export async function revokeSessions(deps: Deps, actor: ActorRef): Promise<void> {
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const generation = await sessions.endAll(unit.tx, actor, null);
    if (generation === undefined) throw accountNotFound();
    unit.emit({ type: 'session.ended', account: actor, tokenId: null, generation });
  });
}
