import * as devices from '../db/devices.ts';
import * as sessions from '../db/sessions.ts';
import type { Device, User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { isForbiddenDemoLogin } from './demo-policy.ts';
import type { Deps } from './deps.ts';
import { provisionUser } from './provisioning.ts';
import { emailKey, isText, MAX_EMAIL_LENGTH } from '../lib/text.ts';
import type { ActorRef, Session } from '../actor.ts';
import { actorKey } from '../actor.ts';

/**
 * Returns the session of a token. Throws UNAUTHENTICATED if it is invalid, expired or revoked, or its account is
 * deleted or locked. Creates the account at the first token of an external user.
 */
export async function authenticate(deps: Deps, token: string): Promise<Session> {
  const verified = await deps.tokens.verify(token);
  if (verified === undefined) throw invalidToken();
  const { tokenId, issuedAt, expiresAt } = verified;
  if (verified.kind === 'local') {
    if (isLocked(deps, verified.actor) || !(await deps.batchedReads.isActive(verified))) throw invalidToken();
    return { actor: verified.actor, tokenId, issuedAt, expiresAt };
  }
  const { identity } = verified;
  const existingId = await sessions.findActiveBySubject(deps.db, identity.subject, tokenId);
  const id = existingId ?? (await provisionUser(deps, identity, tokenId));
  return { actor: { kind: 'user', id }, tokenId, issuedAt, expiresAt };
}

const isLocked = ({ lockedUsers }: Deps, actor: ActorRef): boolean =>
  actor.kind === 'user' && lockedUsers.has(actor.id);

const invalidToken = () => unauthenticated('The token is not valid.');

/** Logs a user in. Throws UNAUTHENTICATED, FORBIDDEN if PASSWORD_LOGIN is off, RATE_LIMITED. */
export async function login(
  deps: Deps,
  input: { readonly email: string; readonly password: string },
): Promise<{ token: string; user: User }> {
  if (deps.config.PASSWORD_LOGIN === 'off') throw forbidden('Password login is disabled on this server.');
  const { user } = await checkLogin(deps, input.email.trim(), input.password, users.findCredentials);
  const actor = { kind: 'user', id: user.id } as const;
  if (isLocked(deps, actor) || (await isForbiddenDemoLogin(deps, user.id, input.password)))
    throw unauthenticated('Demo accounts are disabled on this server: their password is published.');
  const { token } = await deps.tokens.issue(actor);
  return { token, user };
}

export async function loginDevice(
  deps: Deps,
  input: { readonly username: string; readonly password: string },
): Promise<{ token: string; device: Device }> {
  const { device } = await checkLogin(deps, input.username, input.password, devices.findCredentials);
  const { token } = await deps.tokens.issue({ kind: 'device', id: device.id });
  return { token, device };
}

type Credentials = { readonly passwordHash: string | null } & (
  { readonly user: User } | { readonly device: Device }
);

const rateLimitKey = (found: Credentials): string =>
  'user' in found
    ? `login ${actorKey({ kind: 'user', id: found.user.id })}`
    : `login ${actorKey({ kind: 'device', id: found.device.id })}`;

/** Finds credentials and verifies the password. Takes equally long for an unknown name, so as not to reveal it. */
async function checkLogin<Found extends Credentials>(
  deps: Deps,
  name: string,
  password: string,
  find: (db: Deps['db'], name: string) => Promise<Found | undefined>,
): Promise<Found> {
  const found = isText(name) ? await find(deps.db, name) : undefined;
  // Keyed by account where there is one: spellings of its name must not each get a limit.
  const key = found === undefined ? `name ${emailKey(name.slice(0, MAX_EMAIL_LENGTH))}` : rateLimitKey(found);
  const verified = await deps.rateLimits.checkCredential(key, async () =>
    (await deps.passwords.verify(password, found?.passwordHash ?? null)) ? found : undefined,
  );
  if (verified === undefined) throw unauthenticated('The name or the password is wrong.');
  return verified;
}

/** Revokes the session's token; the account's other tokens stay valid. */
export async function logout(deps: Deps, session: Session): Promise<void> {
  const { actor, tokenId, expiresAt } = session;
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const isNew = await sessions.revoke(unit.tx, tokenId, new Date(expiresAt).toISOString());
    if (isNew) unit.emit({ type: 'session.ended', account: actor, tokenId });
  });
}

/** Issues a new token for the session's account; the old one stays valid. Throws UNAUTHENTICATED. */
export async function refreshToken(
  deps: Deps,
  session: Session,
): Promise<{ token: string; actor: ActorRef }> {
  if (!(await sessions.isActive(deps.db, session))) throw invalidToken();
  const { token } = await deps.tokens.issue(session.actor);
  return { token, actor: session.actor };
}
