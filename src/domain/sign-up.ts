import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { parsePassword } from '../lib/text.ts';
import { SERVER_CLIENT } from './authentication.ts';
import type { Client } from './authentication.ts';
import type { Deps } from './deps.ts';
import { startVerification } from './email-verification.ts';
import { deliverInvitations } from './invitation-delivery.ts';
import { emailTakenError, parseProfile } from './profiles.ts';
import type { Profile } from './profiles.ts';

export interface CreateAccountInput extends Profile {
  readonly password: string;
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
    if (created === undefined) throw emailTakenError();
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
