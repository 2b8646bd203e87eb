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
import type { ExternalIdentity } from '../services/identity-claims.ts';

/**
 * The account of somebody whom the outside identity provider vouches for, made at first sight. An account with the
 * same e-mail is taken for theirs only when the provider has verified that e-mail, and nobody else's subject is tied
 * to it: its password and the tokens of before are void then, for it may be somebody else who made it. Otherwise it
 * stays with its owner, and the newcomer gets an account with an address that nobody has.
 */
export async function provisionUser(
  deps: Deps,
  identity: ExternalIdentity,
  tokenId: string,
): Promise<UserId> {
  return transact(deps, async (unit) => {
    if (await sessions.isRevoked(unit.tx, tokenId)) throw unauthenticated('The token is not valid.');
    const user =
      (await users.findBySubject(unit.tx, identity.subject)) ??
      (await adoptAccount(unit, identity)) ??
      (await createAccount(unit, identity));
    return user.id;
  });
}

async function adoptAccount(
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
    // Refused for its e-mail, or because the same person came in twice at once: then the other one is there by now.
    const other = await users.findBySubject(unit.tx, subject);
    if (other !== undefined) return other;
  }
  throw new Error('The account of an outside identity could not be made.');
}

/** `.invalid` is reserved: no mail is ever delivered there (RFC 2606). */
function placeholderEmail(subject: string): string {
  return `${createHash('sha256').update(subject).digest('hex').slice(0, 32)}@user.invalid`;
}
