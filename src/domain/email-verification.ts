import { randomBytes } from 'node:crypto';
import { isEmailVerificationOn } from '../config.ts';
import type { Tx } from '../db/database.ts';
import * as verifications from '../db/email-verifications.ts';
import * as held from '../db/held-invitations.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, invalidInput } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UserId } from '../ids.ts';
import type { ActorRef } from '../actor.ts';
import { digestOf, isSecret } from '../lib/secret-digest.ts';
import { emailKey } from '../lib/text.ts';
import { requireCaller } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { requireUnderHourlyLimits } from './hourly-limits.ts';
import { deliverInvitations, deliverInvitationsTo } from './invitation-delivery.ts';

const TOKEN_BYTES = 32;
const TOKEN_TTL_SECONDS = 86_400;
/** Mails per account, and per e-mail by all accounts. Off with `RATE_LIMITS=off`. */
const MAX_MAILS_PER_HOUR = 5;

/**
 * Sends a mail with a new token to the caller's e-mail; returns the caller. Sends none if the e-mail is verified. Throws
 * FORBIDDEN if e-mails are not verified here, RATE_LIMITED.
 */
export async function requestVerification(deps: Deps, actor: ActorRef): Promise<User> {
  if (!isEmailVerificationOn(deps.config))
    throw forbidden('E-mail addresses are not verified on this server.');
  const user = await requireCaller(deps.db, actor);
  const [state] = await users.findInvitationStates(deps.db, [user.id]);
  if (state?.isVerified === false) await sendToken(deps, user);
  return user;
}

/**
 * Sends a mail with a token after the e-mail of an account was set, if e-mails are verified. Never throws: the account may
 * request another mail.
 */
export async function startVerification(deps: Deps, user: Pick<User, 'id' | 'email'>): Promise<void> {
  if (!isEmailVerificationOn(deps.config)) return;
  try {
    await sendToken(deps, user);
  } catch (error) {
    deps.log.warn({ err: error, account: `user:${user.id}` }, 'verification mail not sent');
  }
}

async function sendToken(deps: Deps, { id, email }: Pick<User, 'id' | 'email'>): Promise<void> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  await deps.db.transaction().execute(async (tx) => {
    if (deps.config.RATE_LIMITS === 'on') await limitMails(deps, tx, id, email);
    await verifications.replace(
      tx,
      { userId: id, email, tokenHash: digestOf(token).toString('hex') },
      TOKEN_TTL_SECONDS,
    );
  });
  deps.mailer?.send(createMail(email, token, deps.config.MAIL_LINK));
}

const limitMails = (deps: Deps, tx: Tx, id: UserId, email: string): Promise<void> =>
  requireUnderHourlyLimits(deps, tx, {
    accountId: id,
    name: 'verification mails',
    limits: new Map([
      [`mails of ${id}`, MAX_MAILS_PER_HOUR],
      [`mails to ${digestOf(emailKey(email)).toString('hex').slice(0, 32)}`, MAX_MAILS_PER_HOUR],
    ]),
  });

/** Contains nothing that the account has written: a stranger may have entered the address. */
const createMail = (to: string, token: string, link: string | undefined) => ({
  type: 'verify-email' as const,
  to,
  token,
  subject: 'Confirm your e-mail address',
  text: [
    'An account was created with this e-mail address, or changed to it.',
    link === undefined
      ? `To confirm the address, enter this code within 24 hours:\n${token}`
      : `To confirm the address, open this link within 24 hours:\n${link.replaceAll('{token}', token)}`,
    'If this was not you, ignore this mail: the address remains unconfirmed.',
  ].join('\n\n'),
});

/**
 * Verifies the caller's e-mail by the token of the newest mail, and delivers the invitations that were held; returns the
 * caller. The token alone is not enough: it would verify the address for a stranger who has entered it, if its owner opened
 * the link. Throws INVALID_INPUT for a token that is wrong, expired, used or of an earlier e-mail.
 */
export async function verifyEmail(deps: Deps, actor: ActorRef, token: string): Promise<User> {
  const user = await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const caller = await requireCaller(unit.tx, actor);
    const found = await verifications.find(unit.tx, caller.id);
    const isValid = found?.email === caller.email && isSecret(token, Buffer.from(found.tokenHash, 'hex'));
    if (!isValid)
      throw invalidInput('token', 'The token is wrong, expired or used, or belongs to an earlier e-mail.');
    await users.setVerifiedEmail(unit.tx, caller.id, caller.email);
    await verifications.remove(unit.tx, caller.id);
    return caller;
  });
  deps.securityLog.record('e-mail verified', { account: actor });
  await deliverInvitations(deps, user.id);
  for (const email of await held.findEmailsByInviter(deps.db, user.id))
    await deliverInvitationsTo(deps, email);
  return user;
}

/** Returns which of the accounts have proved to own their e-mail. */
export async function findVerifiedEmails(deps: Deps, ids: readonly UserId[]): Promise<Map<UserId, boolean>> {
  const states = await users.findInvitationStates(deps.db, ids);
  return new Map(states.map(({ id, isVerified }) => [id, isVerified]));
}
