import type { ActorRef } from '../actor.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { conflict } from '../errors.ts';
import type { DomainError } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { parseDate } from '../lib/dates.ts';
import { MAX_PERSON_NAME_LENGTH, parseName, parseNewEmail } from '../lib/text.ts';
import { SERVER_CLIENT } from './authentication.ts';
import { requireCaller } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { startVerification } from './email-verification.ts';
import { requireUnderHourlyLimits } from './hourly-limits.ts';
import { deliverInvitations } from './invitation-delivery.ts';

/** Attempts, also those that fail. Off with `RATE_LIMITS=off`. */
const MAX_EMAIL_CHANGES_PER_HOUR = 10;

export interface Profile {
  readonly email: string;
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
    if (updated === undefined) throw emailTakenError();
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

export const emailTakenError = (): DomainError => conflict('The e-mail is used by another account.');

/** Drops unchanged fields: forms send all of them, and stored values may predate today's validation. */
const pickChanges = (user: User, input: UpdateAccountInput): UpdateAccountInput =>
  Object.fromEntries(
    Object.entries(input).filter(([name, value]) => value !== user[name as keyof UpdateAccountInput]),
  );

/** Throws INVALID_INPUT. */
export function parseProfile(input: Profile): Profile;
export function parseProfile(input: UpdateAccountInput): UpdateAccountInput;
export function parseProfile({
  email,
  firstName,
  lastName,
  birthday,
}: UpdateAccountInput): UpdateAccountInput {
  return {
    ...(email !== undefined && { email: parseNewEmail('email', email) }),
    ...(firstName !== undefined && { firstName: parseName('firstName', firstName, MAX_PERSON_NAME_LENGTH) }),
    ...(lastName !== undefined && {
      lastName: lastName === '' ? '' : parseName('lastName', lastName, MAX_PERSON_NAME_LENGTH),
    }),
    ...(birthday !== undefined && { birthday: birthday === null ? null : parseDate('birthday', birthday) }),
  };
}
