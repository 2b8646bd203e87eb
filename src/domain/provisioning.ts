import { createHash } from 'node:crypto';
import { findBlock } from '../db/account-blocks.ts';
import * as subjects from '../db/external-subjects.ts';
import { isRevoked } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { UserId } from '../ids.ts';
import type { Session } from '../actor.ts';
import type { Timestamp } from '../db/tables.ts';
import type { Deps } from './deps.ts';
import { startVerification } from './email-verification.ts';
import { deliverInvitations } from './invitation-delivery.ts';
import type { ExternalIdentity } from '../services/identity-claims.ts';

interface Provisioned {
  readonly user: User;
  /** Whether this call has created or linked the account. */
  readonly isNew: boolean;
}

/**
 * Returns the account of an external user, created at the first login. An existing account with the same e-mail is
 * linked only if the provider verified the e-mail and the account has no subject yet; its password and earlier tokens
 * are then revoked, as someone else may have created it. Otherwise the user gets a new account with a placeholder
 * e-mail. Throws UNAUTHENTICATED if the token is revoked, or was issued before the user's account was deleted, or if the
 * account is blocked.
 */
export async function provisionUser(
  deps: Deps,
  identity: ExternalIdentity,
  { tokenId, issuedAt }: Pick<Session, 'tokenId' | 'issuedAt'>,
): Promise<UserId> {
  const { user, isNew } = await transact<Provisioned>(deps, async (unit) => {
    await subjects.lockSubject(unit.tx, identity.subject);
    const known = await subjects.findBySubject(unit.tx, identity.subject);
    // Read after the account: if that has just been deleted, the deletion is found here.
    const deletedAt = await subjects.findDeletedSubject(unit.tx, identity.subject);
    const isVoid = deletedAt !== undefined && !isAfter(issuedAt, deletedAt);
    if (isVoid || (await isRevoked(unit.tx, tokenId))) throw invalidToken();
    if (known !== undefined) {
      // Created by now, or all its sessions were ended after the token was issued.
      if (
        (await subjects.findActiveBySubject(unit.tx, identity.subject, { tokenId, issuedAt })) === undefined
      )
        throw invalidToken();
      return { user: known, isNew: false };
    }
    const linked = await linkAccount(unit, identity);
    const provisioned =
      linked === undefined ? await createAccount(unit, identity, deletedAt) : { user: linked, isNew: true };
    // Never a placeholder, nor an e-mail that the provider has not verified.
    if (provisioned.isNew && identity.emailVerified && identity.email !== undefined)
      await users.setVerifiedEmail(unit.tx, provisioned.user.id, identity.email);
    return provisioned;
  });
  if (isNew) {
    if (!identity.emailVerified && user.email === identity.email) await startVerification(deps, user);
    await deliverInvitations(deps, user.id);
  }
  return user.id;
}

async function linkAccount(
  unit: UnitOfWork,
  { email, emailVerified, subject }: ExternalIdentity,
): Promise<User | undefined> {
  if (email === undefined || !emailVerified) return undefined;
  const id = await subjects.findUnlinked(unit.tx, email);
  if (id === undefined) return undefined;
  const account = { kind: 'user', id } as const;
  // A change of the password that has begun commits before, and is then undone, or finds that its session has ended.
  await unit.lock(accountTopic(account));
  if ((await findBlock(unit.tx, account)) !== undefined) throw invalidToken();
  const user = await subjects.adoptSubject(unit.tx, { id, email, subject });
  if (user !== undefined) unit.emit({ type: 'session.ended', account, tokenId: null });
  return user;
}

/** Whether a token was issued after a time. Without `iat` it may have been issued before. */
const isAfter = (issuedAt: number | null, time: Timestamp): boolean =>
  issuedAt !== null && issuedAt > Date.parse(time);

const invalidToken = () => unauthenticated('The token is not valid.');

async function createAccount(
  unit: UnitOfWork,
  identity: ExternalIdentity,
  externalTokensSince: Timestamp | undefined,
): Promise<Provisioned> {
  const { subject, firstName, lastName, birthday } = identity;
  for (const email of [identity.email, placeholderEmail(subject)]) {
    if (email === undefined) continue;
    const user = await users.insert(unit.tx, {
      email,
      passwordHash: null,
      subject,
      externalTokensSince,
      firstName,
      lastName,
      birthday,
    });
    if (user !== undefined) {
      await unit.create(accountTopic({ kind: 'user', id: user.id }));
      return { user, isNew: true };
    }
    // The e-mail is taken, or a concurrent login of the same user has created the account.
    const existing = await subjects.findBySubject(unit.tx, subject);
    if (existing !== undefined) return { user: existing, isNew: false };
  }
  throw new Error('The account of an external user could not be created.');
}

/** Uses `.invalid`, a reserved domain to which no mail is delivered (RFC 2606). */
function placeholderEmail(subject: string): string {
  return `${createHash('sha256').update(subject).digest('hex').slice(0, 32)}@user.invalid`;
}
