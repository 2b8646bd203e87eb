import { createHash } from 'node:crypto';
import * as sessions from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { UserId } from '../ids.ts';
import type { Deps } from './deps.ts';
import { startVerification } from './email-verification.ts';
import { deliverInvitations } from './invitation-delivery.ts';
import type { ExternalIdentity } from '../services/identity-claims.ts';

/**
 * Returns the account of an external user, created at the first login. An existing account with the same e-mail is
 * linked only if the provider verified the e-mail and the account has no subject yet; its password and earlier tokens
 * are then revoked, as someone else may have created it. Otherwise the user gets a new account with a placeholder
 * e-mail. Throws UNAUTHENTICATED if the token is revoked.
 */
export async function provisionUser(
  deps: Deps,
  identity: ExternalIdentity,
  tokenId: string,
): Promise<UserId> {
  const { user, isNew } = await transact(deps, async (unit) => {
    if (await sessions.isRevoked(unit.tx, tokenId)) throw unauthenticated('The token is not valid.');
    const known = await users.findBySubject(unit.tx, identity.subject);
    if (known !== undefined) return { user: known, isNew: false };
    const created = (await linkAccount(unit, identity)) ?? (await createAccount(unit, identity));
    // Never a placeholder, nor an e-mail that the provider has not verified.
    if (identity.emailVerified && identity.email !== undefined)
      await users.setVerifiedEmail(unit.tx, created.id, identity.email);
    return { user: created, isNew: true };
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
  const user = await users.adoptSubject(unit.tx, email, subject);
  if (user !== undefined)
    unit.emit({ type: 'session.ended', account: { kind: 'user', id: user.id }, tokenId: null });
  return user;
}

async function createAccount(unit: UnitOfWork, identity: ExternalIdentity): Promise<User> {
  const { subject, firstName, lastName, birthday } = identity;
  for (const email of [identity.email, placeholderEmail(subject)]) {
    if (email === undefined) continue;
    const user = await users.insert(unit.tx, {
      email,
      passwordHash: null,
      subject,
      firstName,
      lastName,
      birthday,
    });
    if (user !== undefined) {
      await unit.create(accountTopic({ kind: 'user', id: user.id }));
      return user;
    }
    // The e-mail is taken, or a concurrent login of the same user has created the account.
    const existing = await users.findBySubject(unit.tx, subject);
    if (existing !== undefined) return existing;
  }
  throw new Error('The account of an external user could not be created.');
}

/** Uses `.invalid`, a reserved domain to which no mail is delivered (RFC 2606). */
function placeholderEmail(subject: string): string {
  return `${createHash('sha256').update(subject).digest('hex').slice(0, 32)}@user.invalid`;
}
