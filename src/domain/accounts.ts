import { findUsersWithPresence } from '../db/actors.ts';
import type { UserWithPresence } from '../db/actors.ts';
import * as circles from '../db/circles.ts';
import * as devices from '../db/devices.ts';
import * as heldInvitations from '../db/held-invitations.ts';
import { deleteKeysOf } from '../db/idempotency-keys.ts';
import { forgetClients } from '../db/login-attempts.ts';
import { addDeletedSubject, endAll, isActive, revoke } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import { deleteUsageOf } from '../db/uploads.ts';
import * as users from '../db/users.ts';
import { parseDate } from '../lib/dates.ts';
import { conflict, forbidden, unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import { eraseAccount, lockErasure } from '../events/erasure.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import { openStream } from '../events/open-stream.ts';
import type { EventStream, ReaderOptions } from '../events/stream.ts';
import type { UserId } from '../ids.ts';
import { MAX_PERSON_NAME_LENGTH, parseName, parseNewEmail, parsePassword } from '../lib/text.ts';
import { requireCaller } from './circle-access.ts';
import { startVerification } from './email-verification.ts';
import { requireUnderHourlyLimits } from './hourly-limits.ts';
import { deliverInvitations } from './invitation-delivery.ts';
import { removeFromCircle, lockForMemberRemoval } from './membership-removal.ts';
import { checkOwnPassword, SERVER_CLIENT } from './authentication.ts';
import type { Client } from './authentication.ts';
import type { Deps } from './deps.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { indexById } from '../lib/group-rows.ts';
import type { ActorRef, Session } from '../actor.ts';
import { actorKey, requireUser } from '../actor.ts';

export {
  authenticate,
  login,
  loginDevice,
  logout,
  logoutEverywhere,
  refreshToken,
} from './authentication.ts';
export type { Client } from './authentication.ts';

/** Attempts, also those that fail. Off with `RATE_LIMITS=off`. */
const MAX_EMAIL_CHANGES_PER_HOUR = 10;

export interface CreateAccountInput {
  readonly email: string;
  readonly password: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

export interface UpdateAccountInput {
  readonly email?: string | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  /** Null removes it. */
  readonly birthday?: string | null | undefined;
}

/** Creates an account for an anonymous caller. Throws FORBIDDEN if SIGN_UP is off, RATE_LIMITED. */
export async function signUp(
  deps: Deps,
  input: CreateAccountInput,
  client: Client,
): Promise<{ token: string; user: User }> {
  const { SIGN_UP, PASSWORD_LOGIN } = deps.config;
  if ((SIGN_UP ?? PASSWORD_LOGIN) === 'off') throw forbidden('Sign-up is disabled on this server.');
  // Before the limits: input that is refused anyway must not use them up.
  parseProfile(input);
  parsePassword('password', input.password);
  await limitSignUps(deps, client);
  return createAccount(deps, input, client);
}

async function limitSignUps({ operationLimits, rateLimits }: Deps, { address }: Client): Promise<void> {
  await operationLimits.slowly(async () => {
    await rateLimits.consume('signUp', { address });
    await rateLimits.consume('allSignUps', { address });
  });
}

/** Creates an account and issues its first token. Throws INVALID_INPUT, or CONFLICT if the e-mail is taken. */
export async function createAccount(
  deps: Deps,
  input: CreateAccountInput,
  client = SERVER_CLIENT,
): Promise<{ token: string; user: User }> {
  const password = parsePassword('password', input.password);
  return createWithPassword(deps, { ...input, password }, client);
}

/** Creates an account with a password that may be shorter than users may choose. */
export async function createWithPassword(
  deps: Deps,
  input: CreateAccountInput,
  client = SERVER_CLIENT,
): Promise<{ token: string; user: User }> {
  const { address } = client;
  const profile = parseProfile(input);
  const passwordHash = await deps.passwords.hash(input.password, { lane: 'strangers', key: address });
  const values = { ...profile, passwordHash };
  const user = await transact(deps, async (unit) => {
    const created = await users.insert(unit.tx, { ...values, subject: null });
    if (created === undefined) throw emailTaken();
    await unit.create(accountTopic({ kind: 'user', id: created.id }));
    return created;
  });
  await startVerification(deps, user);
  await deliverInvitations(deps, user.id);
  const actor = { kind: 'user', id: user.id } as const;
  await deps.loginAttempts.remember(actor, { address });
  deps.securityLog.record('account created', { account: actor, address });
  const { token } = await deps.tokens.issue(actor);
  return { token, user };
}

/** Updates the caller's profile. Throws INVALID_INPUT, CONFLICT if the e-mail is taken, or RATE_LIMITED. */
export async function updateAccount(
  deps: Deps,
  actor: ActorRef,
  input: UpdateAccountInput,
  { address } = SERVER_CLIENT,
): Promise<User> {
  await limitEmailChanges(deps, actor, input);
  const { before, after } = await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const user = await requireCaller(unit.tx, actor);
    const updated = await users.update(unit.tx, user.id, parseProfile(pickChanges(user, input)));
    if (updated === undefined) throw emailTaken();
    return { before: user, after: updated };
  });
  if (after.email !== before.email) {
    deps.securityLog.record('e-mail changed', { account: actor, address });
    await startVerification(deps, after);
    await deliverInvitations(deps, after.id);
  }
  return after;
}

/** Counts attempts, not changes: CONFLICT tells that another account has the e-mail. */
async function limitEmailChanges(deps: Deps, actor: ActorRef, { email }: UpdateAccountInput): Promise<void> {
  if (email === undefined || deps.config.RATE_LIMITS === 'off') return;
  const user = await requireCaller(deps.db, actor);
  if (email === user.email) return;
  await deps.db.transaction().execute((tx) =>
    requireUnderHourlyLimits(deps, tx, {
      accountId: user.id,
      name: 'e-mail changes',
      limits: new Map([[`changes of the e-mail of ${user.id}`, MAX_EMAIL_CHANGES_PER_HOUR]]),
    }),
  );
}

const emailTaken = () => conflict('The e-mail is used by another account.');

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
  const { actor, tokenId } = session;
  const next = parsePassword('next', input.next);
  const caller = await checkOwnPassword(deps, session, input.current, client);
  if (caller === undefined)
    throw forbidden('The account has no password: it logs in through its identity provider.');
  const passwordHash = await deps.passwords.hash(next, caller);
  const changed = await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const user = await requireCaller(unit.tx, actor);
    const generation = await endAll(unit.tx, actor, tokenId);
    if (generation === undefined) throw unauthenticated();
    unit.emit({
      type: 'session.ended',
      account: actor,
      tokenId: null,
      generation,
      keptTokenId: tokenId,
    });
    return users.setPasswordHash(unit.tx, user.id, passwordHash);
  });
  deps.securityLog.record('password changed', { account: actor, address: client.address });
  return changed;
}

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
  const { actor } = session;
  await checkOwnPassword(deps, session, input.password, client);
  for (;;) {
    const deleted = await transact(deps, (unit) => tryDeleteAccount(unit, session));
    if (deleted === undefined) continue;
    deps.securityLog.record('account deleted', { account: actor, address: client.address });
    await removeUnusedFiles(deps);
    return deleted;
  }
}

/** Returns undefined if the account joined another circle before the locks were taken: try again. */
async function tryDeleteAccount(unit: UnitOfWork, session: Session): Promise<User | undefined> {
  const { actor, tokenId, expiresAt } = session;
  const circlesBefore = await circles.findByActor(unit.tx, actor);
  const lockedIds = circlesBefore.map(({ id }) => id);
  await lockForMemberRemoval(unit, requireUser(actor), lockedIds);
  await unit.lock(accountTopic(actor));
  await lockErasure(unit.tx);
  const user = await requireCaller(unit.tx, actor);
  const currentCircles = await circles.findByActor(unit.tx, actor);
  if (currentCircles.some(({ id }) => !lockedIds.includes(id))) return undefined;
  for (const circle of currentCircles) await removeFromCircle(unit, user, circle, { cause: 'deleted' });
  await heldInvitations.removeByEmail(unit.tx, user.email);
  await eraseAccount(unit.tx, actor);
  await deleteKeysOf(unit.tx, actorKey(actor));
  await deleteUsageOf(unit.tx, actorKey(actor));
  const subject = await users.remove(unit.tx, user.id);
  if (subject !== undefined) await addDeletedSubject(unit.tx, subject);
  // The clock of the identity provider may be ahead.
  await revoke(unit.tx, tokenId, new Date(expiresAt).toISOString());
  await forgetClients(unit.tx, actorKey(actor));
  unit.emit({ type: 'account.deleted', account: actor });
  return user;
}

/** Returns the caller's own account. Throws UNAUTHENTICATED if it was deleted. */
export async function requireMe(deps: Deps, actor: ActorRef): Promise<ActorView> {
  const isOnline = (await deps.presence.isOnline([actor], deps.db)).has(actorKey(actor));
  if (actor.kind === 'user') {
    const user = await users.findById(deps.db, actor.id);
    if (user === undefined) throw unauthenticated();
    return { kind: 'user', user, online: isOnline };
  }
  const device = await devices.findById(deps.db, actor.id);
  if (device === undefined) throw unauthenticated();
  return { kind: 'device', device, online: isOnline };
}

/** Finds users without an access check, for ids that the caller was already shown. */
export async function findUsersById(
  deps: Deps,
  ids: readonly UserId[],
): Promise<Map<UserId, UserWithPresence>> {
  return indexById(await findUsersWithPresence(deps.db, ids));
}

/** Finds a user if visible to the actor: itself, and users who share a circle with it. */
export async function findVisibleUser(deps: Deps, actor: ActorRef, id: UserId): Promise<User | undefined> {
  return (await findVisibleUsers(deps, actor, [id])).get(id);
}

export async function findVisibleUsers(
  deps: Deps,
  actor: ActorRef,
  ids: readonly UserId[],
): Promise<Map<UserId, User>> {
  return indexById(await users.findVisible(deps.db, actor, ids));
}

/** Opens the private events of the session's account. Throws UNAUTHENTICATED if the session has ended. */
export async function openInboxEvents(
  deps: Deps,
  session: Session,
  input: { readonly after: string | null },
  options: ReaderOptions = {},
): Promise<EventStream> {
  const authorize = async () => {
    if (!(await isActive(deps.db, session))) throw unauthenticated();
  };
  return openStream(deps, {
    topic: accountTopic(session.actor),
    actor: session.actor,
    after: input.after,
    authorize,
    signal: options.signal,
    budget: options.budget,
  });
}

/** Drops unchanged fields: forms send all of them, and stored values may predate today's validation. */
const pickChanges = (user: User, input: UpdateAccountInput): UpdateAccountInput =>
  Object.fromEntries(
    Object.entries(input).filter(([name, value]) => value !== user[name as keyof UpdateAccountInput]),
  );

function parseProfile(input: Omit<CreateAccountInput, 'password'>): Omit<CreateAccountInput, 'password'>;
function parseProfile(input: UpdateAccountInput): UpdateAccountInput;
function parseProfile({ email, firstName, lastName, birthday }: UpdateAccountInput): UpdateAccountInput {
  return {
    ...(email !== undefined && { email: parseNewEmail('email', email) }),
    ...(firstName !== undefined && { firstName: parseName('firstName', firstName, MAX_PERSON_NAME_LENGTH) }),
    ...(lastName !== undefined && {
      lastName: lastName === '' ? '' : parseName('lastName', lastName, MAX_PERSON_NAME_LENGTH),
    }),
    ...(birthday !== undefined && { birthday: birthday === null ? null : parseDate('birthday', birthday) }),
  };
}
