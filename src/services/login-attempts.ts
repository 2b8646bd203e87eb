import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { actorKey, payerOf } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import type { DatabaseShares } from '../db/fair-pool.ts';
import { DomainError } from '../errors.ts';
import { KeyedQueue } from '../lib/keyed-queue.ts';
import { hashName, KnownClients } from './known-clients.ts';
import type { LoginClient } from './known-clients.ts';
import { FAILURE_WINDOW_SECONDS, LoginDelays } from './login-delays.ts';
import type { Subject } from './login-delays.ts';
import type { OperationLimits } from './operation-limits.ts';
import type { HashCaller } from './passwords.ts';
import type { ReportRefusal } from './refusals.ts';
import type { SecurityLog } from './security-log.ts';

/** A known client waits for a delay of at most this time; every other attempt during a delay is refused. */
const MAX_WAIT_MS = 1_500;
/** Attempts of one client on one account run one after the other, so that concurrent guesses do not escape a delay. */
const ATTEMPTS = { concurrency: 500, maxQueued: 1_000, maxQueuedPerKey: 10 };
const QUEUE_RETRY_MS = 1_000;
/** The answer to a repeated guess is held back as long as a refusal. */
const REPEATED_GUESS_DELAY_MS = 1_000;
/** Wrong passwords that this node remembers. */
const MAX_WRONG_PASSWORDS = 10_000;
/** Points that a stranger pays for the lookup of a name. */
const LOGIN_POINTS = 10;

export interface Attempt {
  /** The account, or undefined for a name without one. */
  readonly account: ActorRef | undefined;
  readonly name: string;
  readonly password: string;
  /** The stored hash: another one makes a wrong password a new guess. */
  readonly passwordHash: string | null;
  readonly client: LoginClient;
}

/**
 * Slows down password guessing. Failures are counted in the database, for all nodes: those of strangers by address, by
 * account and by both; those of known clients apart, so that no one else can keep an owner out. Beyond a number of
 * failures an attempt is possible only after a delay, which grows.
 */
export interface LoginAttempts {
  /**
   * Runs a password check in its turn. `check` returns undefined if the password is wrong. Throws RATE_LIMITED without
   * running it during a delay.
   */
  run<Result>(
    attempt: Attempt,
    check: (caller: HashCaller) => Promise<Result | undefined>,
  ): Promise<Result | undefined>;
  /**
   * Charges a login before its account is looked up, unless the name is known to have logged in from this address. Throws
   * RATE_LIMITED: a flood of guesses must not reach the database, nor keep others of its address from logging in.
   */
  admit(name: string, client: LoginClient): Promise<void>;
  /** Remembers the client of a new account. */
  remember(account: ActorRef, client: LoginClient): Promise<void>;
}

export interface LoginAttemptsOptions {
  readonly db: Db;
  readonly enabled: boolean;
  readonly securityLog: SecurityLog;
  readonly reportRefusal?: ReportRefusal | undefined;
  readonly databaseShares: DatabaseShares;
  /** Charges a stranger, by its address, and holds back refusals. */
  readonly operationLimits: Pick<OperationLimits, 'charge' | 'pause' | 'slowly'>;
}

export function createLoginAttempts({
  db,
  enabled,
  securityLog,
  reportRefusal,
  databaseShares,
  operationLimits,
}: LoginAttemptsOptions): LoginAttempts {
  const delays = new LoginDelays(db);
  const knownClients = new KnownClients(db);
  /** Passwords are remembered by a key of this process only. */
  const cacheKey = randomBytes(32);
  /** Wrong passwords of a client: one that is sent again is wrong, and no further guess. */
  const wrongPasswords = new LRUCache<string, true>({
    max: MAX_WRONG_PASSWORDS,
    ttl: FAILURE_WINDOW_SECONDS * 1_000,
  });
  const queueFullError = (): DomainError => {
    reportRefusal?.('queued logins');
    return delayedError(QUEUE_RETRY_MS);
  };
  const queue = new KeyedQueue({ ...ATTEMPTS, createError: queueFullError });

  /** Waits for a short delay of a known client. Throws RATE_LIMITED during any other delay. */
  const awaitTurn = async (attempt: Attempt, subjects: readonly Subject[]): Promise<void> => {
    const delay = await delays.find(subjects);
    if (delay === undefined) return;
    const { limit, remainingMs } = delay;
    if (limit === 'knownClient' && remainingMs <= MAX_WAIT_MS) return sleep(remainingMs);
    const { account, client } = attempt;
    reportRefusal?.('failed logins');
    securityLog.record('login delayed', { account, address: client.address, detail: limit });
    throw delayedError(remainingMs);
  };

  const runInTurn = async <Result>(
    attempt: Attempt,
    subjects: readonly [Subject, ...Subject[]],
    check: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> => {
    await awaitTurn(attempt, subjects);
    const result = await check();
    if (result === undefined) {
      await delays.addFailure(subjects);
      return undefined;
    }
    await delays.clear(subjects[0]);
    if (attempt.account !== undefined) await knownClients.remember(attempt.account, attempt.client);
    return result;
  };

  const runAs = async <Result>(
    attempt: Attempt,
    { target, knownAs }: { readonly target: string; readonly knownAs: string | undefined },
    check: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> => {
    const { name, password, passwordHash, client } = attempt;
    const subjects = subjectsOf(target, knownAs, client);
    const [{ key }] = subjects;
    if (knownAs !== undefined) knownClients.rememberName(name, client);
    const passwordKey = createHmac('sha256', cacheKey)
      .update(`${key}\0${passwordHash}\0${password}`)
      .digest('base64');
    if (wrongPasswords.has(passwordKey)) {
      await operationLimits.pause(REPEATED_GUESS_DELAY_MS);
      return undefined;
    }
    const result = await queue.run(key, () => runInTurn(attempt, subjects, check));
    if (result === undefined) wrongPasswords.set(passwordKey, true);
    else knownClients.rememberName(name, client);
    return result;
  };

  return {
    remember: (account, client) => knownClients.remember(account, client),
    async admit(name, client) {
      if (!enabled || client.session !== undefined || knownClients.hasName(name, client)) return;
      const payer = payerOf(null, client.address);
      await operationLimits.slowly(() => operationLimits.charge(payer, LOGIN_POINTS));
    },
    async run(attempt, check) {
      const { account, name, client } = attempt;
      const target = account === undefined ? `name ${hashName(name)}` : actorKey(account);
      const knownAs = account === undefined ? undefined : await knownClients.find(actorKey(account), client);
      const caller: HashCaller =
        knownAs === undefined ? { lane: 'strangers', key: client.address } : { lane: 'known', key: target };
      if (!enabled) return check(caller);
      // The statements of a known client do not wait behind those of strangers at its address.
      const payer = knownAs === undefined ? `logins ${client.address}` : `logins ${target}`;
      return operationLimits.slowly(() =>
        databaseShares.run(payer, () => runAs(attempt, { target, knownAs }, () => check(caller))),
      );
    },
  };
}

function subjectsOf(
  target: string,
  knownAs: string | undefined,
  { address }: LoginClient,
): [Subject, ...Subject[]] {
  if (knownAs !== undefined) return [{ limit: 'knownClient', key: `${target} known ${knownAs}` }];
  return [
    { limit: 'addressAndAccount', key: `${target} address ${address}` },
    { limit: 'account', key: target },
    { limit: 'address', key: `address ${address}` },
  ];
}

const delayedError = (remainingMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many failed logins. Try again later.', {
    retryAfterMs: Math.ceil(remainingMs),
  });
