import { findUsersWithPresence } from '../db/actors.ts';
import type { UserWithPresence } from '../db/actors.ts';
import * as circles from '../db/circles.ts';
import * as devices from '../db/devices.ts';
import * as heldInvitations from '../db/held-invitations.ts';
import { deleteKeysOf } from '../db/idempotency-keys.ts';
import { isActive } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { parseDate } from '../lib/dates.ts';
import { conflict, forbidden, unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import { eraseAccount } from '../events/erasure.ts';
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
import type { Deps } from './deps.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { indexById } from '../lib/group-rows.ts';
import type { ActorRef, Session } from '../actor.ts';
import { actorKey, requireUser } from '../actor.ts';

export { authenticate, login, loginDevice, logout, refreshToken } from './authentication.ts';

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

/** Creates an account for an anonymous caller. Throws FORBIDDEN if SIGN_UP is off. */
export async function signUp(deps: Deps, input: CreateAccountInput): Promise<{ token: string; user: User }> {
  const { SIGN_UP, PASSWORD_LOGIN } = deps.config;
  if ((SIGN_UP ?? PASSWORD_LOGIN) === 'off') throw forbidden('Sign-up is disabled on this server.');
  return createAccount(deps, input);
}

/** Creates an account and issues its first token. Throws INVALID_INPUT, or CONFLICT if the e-mail is taken. */
export async function createAccount(
  deps: Deps,
  input: CreateAccountInput,
): Promise<{ token: string; user: User }> {
  return createWithPassword(deps, { ...input, password: parsePassword('password', input.password) });
}

/** Creates an account with a password that may be shorter than users may choose. */
export async function createWithPassword(
  deps: Deps,
  input: CreateAccountInput,
): Promise<{ token: string; user: User }> {
  const values = { ...parseProfile(input), passwordHash: await deps.passwords.hash(input.password) };
  const user = await transact(deps, async (unit) => {
    const created = await users.insert(unit.tx, { ...values, subject: null });
    if (created === undefined) throw emailTaken();
    await unit.create(accountTopic({ kind: 'user', id: created.id }));
    return created;
  });
  await startVerification(deps, user);
  await deliverInvitations(deps, user.id);
  const { token } = await deps.tokens.issue({ kind: 'user', id: user.id });
  return { token, user };
}

/** Updates the caller's profile. Throws INVALID_INPUT, CONFLICT if the e-mail is taken, or RATE_LIMITED. */
export async function updateAccount(deps: Deps, actor: ActorRef, input: UpdateAccountInput): Promise<User> {
  await limitEmailChanges(deps, actor, input);
  const { before, after } = await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const user = await requireCaller(unit.tx, actor);
    const updated = await users.update(unit.tx, user.id, parseProfile(pickChanges(user, input)));
    if (updated === undefined) throw emailTaken();
    return { before: user, after: updated };
  });
  if (after.email !== before.email) {
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
      subject: 'changes of the e-mail',
      limits: new Map([[`changes of the e-mail of ${user.id}`, MAX_EMAIL_CHANGES_PER_HOUR]]),
    }),
  );
}

const emailTaken = () => conflict('The e-mail is used by another account.');

/** Throws FORBIDDEN if `current` is wrong, or the account has no password. */
export async function changePassword(
  deps: Deps,
  actor: ActorRef,
  input: { readonly current: string; readonly next: string },
): Promise<User> {
  const next = parsePassword('next', input.next);
  if (!(await checkPassword(deps, actor, input.current))) {
    throw forbidden('The account has no password: it logs in through its identity provider.');
  }
  const passwordHash = await deps.passwords.hash(next);
  return transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const user = await requireCaller(unit.tx, actor);
    return users.setPasswordHash(unit.tx, user.id, passwordHash);
  });
}

/**
 * Leaves every circle and deletes the account; returns it as it was. Throws FORBIDDEN if the password is wrong.
 * Accounts of an external identity provider have none, and need none here.
 */
export async function deleteAccount(
  deps: Deps,
  actor: ActorRef,
  input: { readonly password: string },
): Promise<User> {
  await checkPassword(deps, actor, input.password);
  for (;;) {
    const deleted = await transact(deps, (unit) => tryDeleteAccount(unit, actor));
    if (deleted === undefined) continue;
    await removeUnusedFiles(deps);
    return deleted;
  }
}

/** Returns undefined if the account joined another circle before the locks were taken: try again. */
async function tryDeleteAccount(unit: UnitOfWork, actor: ActorRef): Promise<User | undefined> {
  const circlesBefore = await circles.findByActor(unit.tx, actor);
  const lockedIds = circlesBefore.map(({ id }) => id);
  await lockForMemberRemoval(unit, requireUser(actor), lockedIds);
  await unit.lock(accountTopic(actor));
  const user = await requireCaller(unit.tx, actor);
  const currentCircles = await circles.findByActor(unit.tx, actor);
  if (currentCircles.some(({ id }) => !lockedIds.includes(id))) return undefined;
  for (const circle of currentCircles) await removeFromCircle(unit, user, circle, { cause: 'deleted' });
  await heldInvitations.removeByEmail(unit.tx, user.email);
  await eraseAccount(unit.tx, actor);
  await deleteKeysOf(unit.tx, actorKey(actor));
  await users.remove(unit.tx, user.id);
  unit.emit({ type: 'account.deleted', account: actor });
  return user;
}

/** Returns false if the account has no password. Throws FORBIDDEN if the password is wrong. */
async function checkPassword(deps: Deps, actor: ActorRef, password: string): Promise<boolean> {
  const userId = requireUser(actor);
  const result = await deps.rateLimits.checkCredential(actorKey(actor), async () => {
    const found = await users.findPasswordHash(deps.db, userId);
    if (found === undefined) throw unauthenticated();
    if (found.passwordHash === null) return 'none';
    return (await deps.passwords.verify(password, found.passwordHash)) ? 'match' : undefined;
  });
  if (result === undefined) throw forbidden('The password is wrong.');
  return result === 'match';
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
