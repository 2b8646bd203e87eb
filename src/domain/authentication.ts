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
import { emailKey, isText, MAX_EMAIL } from '../lib/text.ts';
import type { ActorRef, Session } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** Who the token stands for. Throws UNAUTHENTICATED when it is bad, expired, revoked or of no active account. */
export async function authenticate(deps: Deps, token: string): Promise<Session> {
  const verified = await deps.tokens.verify(token);
  if (verified === undefined) throw badToken();
  const { tokenId, issuedAt, expiresAt } = verified;
  if (verified.kind === 'local') {
    if (isLocked(deps, verified.actor) || !(await deps.batchedReads.isActive(verified))) throw badToken();
    return { actor: verified.actor, tokenId, issuedAt, expiresAt };
  }
  const { identity } = verified;
  const known = await sessions.findActiveBySubject(deps.db, identity.subject, tokenId);
  const id = known ?? (await provisionUser(deps, identity, tokenId));
  return { actor: { kind: 'user', id }, tokenId, issuedAt, expiresAt };
}

const isLocked = ({ lockedUsers }: Deps, actor: ActorRef): boolean =>
  actor.kind === 'user' && lockedUsers.has(actor.id);

const badToken = () => unauthenticated('The token is not valid.');

export async function login(
  deps: Deps,
  input: { readonly email: string; readonly password: string },
): Promise<{ token: string; user: User }> {
  if (deps.config.PASSWORD_LOGIN === 'off') throw forbidden('Logging in with a password is turned off here.');
  const { user } = await checkLogin(deps, input.email.trim(), input.password, users.findCredentials);
  const actor = { kind: 'user', id: user.id } as const;
  if (isLocked(deps, actor) || (await isForbiddenDemoLogin(deps, user.id, input.password)))
    throw unauthenticated('Demo accounts cannot be used here: their password is published.');
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

const keyOf = (found: Credentials): string =>
  'user' in found
    ? `login ${actorKey({ kind: 'user', id: found.user.id })}`
    : `login ${actorKey({ kind: 'device', id: found.device.id })}`;

/** Takes as long for an unknown name as for a wrong password. Only failures count against the limit. */
async function checkLogin<Found extends Credentials>(
  deps: Deps,
  name: string,
  password: string,
  find: (db: Deps['db'], name: string) => Promise<Found | undefined>,
): Promise<Found> {
  const found = isText(name) ? await find(deps.db, name) : undefined;
  // One account has one key, in whatever way its name is written.
  const key = found === undefined ? `name ${emailKey(name.slice(0, MAX_EMAIL))}` : keyOf(found);
  const right = await deps.rateLimits.checkCredential(key, async () =>
    (await deps.passwords.verify(password, found?.passwordHash ?? null)) ? found : undefined,
  );
  if (right === undefined) throw unauthenticated('The name or the password is wrong.');
  return right;
}

/** Revokes the session's token, and no other. */
export async function logout(deps: Deps, session: Session): Promise<void> {
  const { actor, tokenId, expiresAt } = session;
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const isNews = await sessions.revoke(unit.tx, tokenId, new Date(expiresAt).toISOString());
    if (isNews) unit.emit({ type: 'session.ended', account: actor, tokenId });
  });
}

/** A new token for the same account; the old one stays valid. */
export async function refreshToken(
  deps: Deps,
  session: Session,
): Promise<{ token: string; actor: ActorRef }> {
  if (!(await sessions.isActive(deps.db, session))) throw badToken();
  const { token } = await deps.tokens.issue(session.actor);
  return { token, actor: session.actor };
}
