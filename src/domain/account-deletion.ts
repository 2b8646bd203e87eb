import { actorKey, requireUser } from '../actor.ts';
import type { Session } from '../actor.ts';
import * as circles from '../db/circles.ts';
import { addDeletedSubject } from '../db/external-subjects.ts';
import * as heldInvitations from '../db/held-invitations.ts';
import { deleteKeysOf } from '../db/idempotency-keys.ts';
import { forgetClients } from '../db/login-attempts.ts';
import { revoke } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import { removeUploadsOf } from '../db/resumable-uploads.ts';
import { deleteUsageOf } from '../db/uploads.ts';
import * as users from '../db/users.ts';
import { eraseAccount, lockErasure } from '../events/erasure.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { SERVER_CLIENT } from './authentication.ts';
import { requireCaller } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { lockForMemberRemoval, removeFromCircle } from './membership-removal.ts';
import { checkOwnPassword, isStillValid } from './own-password.ts';
import type { CheckedPassword } from './own-password.ts';

/**
 * Leaves every circle and deletes the account; returns it as it was. Throws FORBIDDEN if the password is wrong.
 * Accounts of an external identity provider have none, and need none here: tokens that it issued before are void.
 */
export async function deleteAccount(
  deps: Deps,
  session: Session,
  input: { readonly password: string },
  client = SERVER_CLIENT,
): Promise<User> {
  for (;;) {
    const checked = await checkOwnPassword(deps, session, input.password, client);
    const deleted = await transact(deps, (unit) => tryDeleteAccount(unit, session, checked));
    if (deleted === undefined) continue;
    deps.securityLog.record('account deleted', { account: session.actor, address: client.address });
    await removeUnusedFiles(deps);
    return deleted;
  }
}

/**
 * Returns undefined if the account joined another circle before the locks were taken, or its password has changed: try
 * again.
 */
async function tryDeleteAccount(
  unit: UnitOfWork,
  session: Session,
  checked: CheckedPassword,
): Promise<User | undefined> {
  const { actor, tokenId, expiresAt } = session;
  const circlesBefore = await circles.findByActor(unit.tx, actor);
  const lockedIds = circlesBefore.map(({ id }) => id);
  await lockForMemberRemoval(unit, requireUser(actor), lockedIds);
  await unit.lock(accountTopic(actor));
  await lockErasure(unit.tx);
  const user = await requireCaller(unit.tx, actor);
  if (!(await isStillValid(unit.tx, session, checked))) return undefined;
  const currentCircles = await circles.findByActor(unit.tx, actor);
  if (currentCircles.some(({ id }) => !lockedIds.includes(id))) return undefined;
  for (const circle of currentCircles) await removeFromCircle(unit, user, circle, { cause: 'deleted' });
  await heldInvitations.removeByEmail(unit.tx, user.email);
  await eraseAccount(unit.tx, actor);
  await deleteKeysOf(unit.tx, actorKey(actor));
  await deleteUsageOf(unit.tx, actorKey(actor));
  await removeUploadsOf(unit.tx, actorKey(actor));
  const subject = await users.remove(unit.tx, user.id);
  if (subject !== undefined) await addDeletedSubject(unit.tx, subject);
  // The clock of the identity provider may be ahead.
  await revoke(unit.tx, tokenId, new Date(expiresAt).toISOString());
  await forgetClients(unit.tx, actorKey(actor));
  unit.emit({ type: 'account.deleted', account: actor });
  return user;
}
