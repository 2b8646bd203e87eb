import { findBlock } from '../db/account-blocks.ts';
import type { AccountBlock } from '../db/account-blocks.ts';
import * as devices from '../db/devices.ts';
import { findActiveBySubject } from '../db/external-subjects.ts';
import * as sessions from '../db/sessions.ts';
import type { TokenCheck } from '../db/sessions.ts';
import type { Device, User } from '../db/tables.ts';
import { upgradePasswordHash } from '../db/passwords.ts';
import { DomainError, forbidden, unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { isForbiddenDemoLogin } from './demo-policy.ts';
import type { Deps } from './deps.ts';
import { provisionUser } from './provisioning.ts';
import { isText } from '../lib/text.ts';
import { continueFamily } from '../services/tokens.ts';
import type { LoginClient } from '../services/known-clients.ts';
import type { ActorRef, Session, SessionFamily } from '../actor.ts';
import { sameActor } from '../actor.ts';

/** A refreshed token may be refreshed again within this time: the response may have been lost. */
const REFRESH_GRACE_MS = 60_000;

/** The client of an operation that needs a password. */
export interface Client {
  readonly address: string;
  /** The token that it sent, valid or not: a client that presents one of the account is known to it. */
  readonly presentedToken?: string | undefined;
  /** The session of its connection, likewise. */
  readonly session?: Session | null;
}

/** The server itself, for accounts that it creates. */
export const SERVER_CLIENT: Client = { address: 'server' };

/**
 * Returns the session of a token. Throws UNAUTHENTICATED if it is invalid, expired or revoked, or its account is deleted,
 * blocked or locked; `address` is that of the client, for the security log. `former` is the session that this token had
 * before, if it is known: the signature of a token that was issued here is then not verified again. Creates the account at the
 * first token of an external user.
 */
export async function authenticate(
  deps: Deps,
  token: string,
  address?: string,
  former?: Session,
): Promise<Session> {
  try {
    return await authenticateToken(deps, token, former);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED')
      deps.securityLog.record('token refused', { address });
    throw error;
  }
}

async function authenticateToken(deps: Deps, token: string, former: Session | undefined): Promise<Session> {
  if (former !== undefined && former.isExternal !== true && former.expiresAt > deps.clock.now()) {
    if (!(await isActiveSession(deps, former))) throw invalidToken();
    return former;
  }
  const verified = await deps.tokens.verify(token);
  if (verified === undefined) throw invalidToken();
  const { tokenId, issuedAt, expiresAt } = verified;
  if (verified.kind === 'local') {
    const { actor, family, generation } = verified;
    if (!(await isActiveSession(deps, verified))) throw invalidToken();
    return { actor, tokenId, issuedAt, expiresAt, family, generation };
  }
  const { identity } = verified;
  const existingId = await findActiveBySubject(deps.db, identity.subject, verified);
  const id = existingId ?? (await provisionUser(deps, identity, verified));
  return { actor: { kind: 'user', id }, tokenId, issuedAt, expiresAt, isExternal: true };
}

/** Checks that neither a session nor its token is revoked, and that its account is neither deleted nor blocked nor locked. */
export const isActiveSession = async (deps: Deps, session: TokenCheck): Promise<boolean> =>
  !isLocked(deps, session.actor) && (await deps.batchedReads.isActive(session));

const isLocked = ({ lockedUsers }: Deps, actor: ActorRef): boolean =>
  actor.kind === 'user' && lockedUsers.has(actor.id);

const invalidToken = () => unauthenticated('The token is not valid.');

/** The reason is the operators' own. */
const accountBlockedError = ({ until }: AccountBlock): DomainError =>
  forbidden(until === null ? 'This account is blocked.' : `This account is blocked until ${until}.`);

/** Logs a user in. Throws UNAUTHENTICATED, FORBIDDEN if PASSWORD_LOGIN is off or the account is blocked, RATE_LIMITED. */
export async function login(
  deps: Deps,
  input: { readonly email: string; readonly password: string },
  client = SERVER_CLIENT,
): Promise<{ token: string; user: User }> {
  if (deps.config.PASSWORD_LOGIN === 'off') throw forbidden('Password login is disabled on this server.');
  const found = await findWithPassword(
    deps,
    deps.batchedReads.findCredentials,
    input.email.trim(),
    input.password,
    {
      client,
      actorOf: ({ user }) => ({ kind: 'user', id: user.id }),
      upgrade: ({ user }, hashes) => upgradePasswordHash(deps.db, user.id, hashes),
    },
  );
  const { user, generation } = found;
  const actor = { kind: 'user', id: user.id } as const;
  if (isLocked(deps, actor) || (await isForbiddenDemoLogin(deps, user.id, input.password)))
    throw unauthenticated('Demo accounts are disabled on this server: their password is published.');
  const { token } = await deps.tokens.issue(actor, { generation });
  return { token, user };
}

export async function loginDevice(
  deps: Deps,
  input: { readonly username: string; readonly password: string },
  client = SERVER_CLIENT,
): Promise<{ token: string; device: Device }> {
  const found = await findWithPassword(
    deps,
    (name) => devices.findCredentials(deps.db, name),
    input.username,
    input.password,
    {
      client,
      actorOf: ({ device }) => ({ kind: 'device', id: device.id }),
      upgrade: ({ device }, hashes) => devices.upgradePasswordHash(deps.db, device.id, hashes),
    },
  );
  const { device, generation } = found;
  const { token } = await deps.tokens.issue({ kind: 'device', id: device.id }, { generation });
  return { token, device };
}

interface PasswordCheck<Found> {
  readonly client: Client;
  readonly actorOf: (found: Found) => ActorRef;
  /** Stores a hash with the present parameters. */
  readonly upgrade: (
    found: Found,
    hashes: { readonly former: string; readonly upgraded: string },
  ) => Promise<void>;
}

/**
 * Finds credentials and verifies the password. Takes equally long for an unknown name, so as not to reveal it. Throws
 * FORBIDDEN if the account is blocked, to those alone who know the password. A block that commits later ends the session,
 * as it makes all tokens of the generation that was found invalid.
 */
async function findWithPassword<Found extends { readonly passwordHash: string | null }>(
  deps: Deps,
  find: (name: string) => Promise<Found | undefined>,
  name: string,
  password: string,
  { client, actorOf, upgrade }: PasswordCheck<Found>,
): Promise<Found> {
  await deps.loginAttempts.admit(name, await loginClientOf(deps, client, undefined));
  const found = isText(name) ? await find(name) : undefined;
  const actor = found && actorOf(found);
  const fields = { account: actor, address: client.address };
  const attempt = {
    account: actor,
    name,
    password,
    passwordHash: found?.passwordHash ?? null,
    client: await loginClientOf(deps, client, actor),
  };
  const verified = await deps.loginAttempts.run(attempt, async (caller) => {
    const passwordHash = found?.passwordHash ?? null;
    if (!(await deps.passwords.verify(password, passwordHash, caller))) return undefined;
    if (found !== undefined && passwordHash !== null && deps.passwords.isOutdated(passwordHash))
      await upgrade(found, { former: passwordHash, upgraded: await deps.passwords.hash(password, caller) });
    return found;
  });
  if (verified === undefined) {
    deps.securityLog.record('login failed', fields);
    throw unauthenticated('The name or the password is wrong.');
  }
  const block = await findBlock(deps.db, actorOf(verified));
  if (block !== undefined) {
    deps.securityLog.record('login refused', fields);
    throw accountBlockedError(block);
  }
  deps.securityLog.record('login succeeded', fields);
  return verified;
}

/** Returns the client with the login whose token it presented, if it is one of the account (or of any). */
async function loginClientOf(
  { tokens }: Deps,
  { address, presentedToken, session }: Client,
  account: ActorRef | undefined,
): Promise<LoginClient> {
  const isOfAccount = (actor: ActorRef): boolean => account === undefined || sameActor(actor, account);
  if (session != null && isOfAccount(session.actor))
    return { address, session: session.family?.id ?? session.tokenId };
  if (presentedToken === undefined) return { address };
  const signed = await tokens.readSigned(presentedToken);
  return signed !== undefined && isOfAccount(signed.actor) ? { address, session: signed.login } : { address };
}

/** Revokes the session's token; the account's other tokens stay valid. */
export async function logout(deps: Deps, session: Session, { address } = SERVER_CLIENT): Promise<void> {
  const { actor, tokenId, expiresAt } = session;
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const isNew = await sessions.revoke(unit.tx, tokenId, new Date(expiresAt).toISOString());
    if (isNew) unit.emit({ type: 'session.ended', account: actor, tokenId });
  });
  deps.securityLog.record('logged out', { account: actor, address });
}

/** Ends all sessions of the account, on every node, this one included. Throws UNAUTHENTICATED if it was deleted. */
export async function logoutEverywhere(
  deps: Deps,
  { actor }: Session,
  { address } = SERVER_CLIENT,
): Promise<void> {
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const generation = await sessions.endAll(unit.tx, actor, null);
    if (generation === undefined) throw unauthenticated();
    unit.emit({ type: 'session.ended', account: actor, tokenId: null, generation });
  });
  deps.securityLog.record('sessions ended', { account: actor, address });
}

/**
 * Issues a new token of the same login; the old one stays valid until it expires. Throws UNAUTHENTICATED if the session
 * or the absolute life of its login has ended, or if the token was refreshed before: then one of the two that have it
 * has stolen it, and the login ends.
 */
export async function refreshToken(
  deps: Deps,
  session: Session,
  client = SERVER_CLIENT,
): Promise<{ token: string; actor: ActorRef }> {
  const { actor, tokenId, expiresAt, generation: own } = session;
  const current = await sessions.findGeneration(deps.db, actor);
  if (current === undefined || !(await sessions.isActive(deps.db, session))) throw invalidToken();
  const family = continueFamily(session, deps.clock.now());
  if (family === undefined) throw unauthenticated('The login has ended. Log in again.');
  const age = await sessions.markRefreshed(deps.db, tokenId, new Date(expiresAt).toISOString());
  if (age > REFRESH_GRACE_MS) {
    await endFamily(deps, session, family);
    deps.securityLog.record('token reused', { account: actor, address: client.address });
    throw invalidToken();
  }
  // Of the generation that the check has seen, at the latest: all sessions may have been ended since.
  const generation = own === undefined || own < current ? current : own;
  const { token } = await deps.tokens.issue(actor, { family, generation });
  return { token, actor };
}

/** Revokes every token of a family, and the given one. */
async function endFamily(deps: Deps, { actor, tokenId }: Session, family: SessionFamily): Promise<void> {
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const until = new Date(family.endsAt).toISOString();
    for (const id of [family.id, tokenId])
      if (await sessions.revoke(unit.tx, id, until))
        unit.emit({ type: 'session.ended', account: actor, tokenId: id });
  });
}
