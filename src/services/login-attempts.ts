import { createHash, createHmac, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import * as attempts from '../db/login-attempts.ts';
import type { KnownClient } from '../db/login-attempts.ts';
import type { Db } from '../db/database.ts';
import type { DatabaseShares } from '../db/fair-pool.ts';
import { DomainError } from '../errors.ts';
import { createBatcher } from '../lib/batcher.ts';
import { KeyedQueue } from '../lib/keyed-queue.ts';
import { emailKey } from '../lib/text.ts';
import type { OperationLimits } from './operation-limits.ts';
import type { HashCaller } from './passwords.ts';
import type { ReportRefusal } from './refusals.ts';
import type { SecurityLog } from './security-log.ts';

/**
 * Failures are forgotten after this time without another one. Also the retention of counts, so longer than every delay.
 */
export const FAILURE_WINDOW_SECONDS = 15 * 60;
/** A client is known for this long after its last login to the account. */
export const KNOWN_CLIENT_DAYS = 90;
const MAX_KNOWN_CLIENTS = 20;
/** A client is remembered again after this time, not at each login. */
const REMEMBER_INTERVAL_MS = 3_600_000;
/** A known client waits for a delay of at most this time; every other attempt during a delay is refused. */
const MAX_WAIT_MS = 1_500;
/** Attempts of one client on one account run one after the other, so that concurrent guesses do not escape a delay. */
const ATTEMPTS = { concurrency: 500, maxQueued: 1_000, maxQueuedPerKey: 10 };
/** Bounds the memory of each cache of this node. */
const MAX_CACHED = 10_000;

/** A refusal, and the answer to a repeated guess, is held back this long, so that each connection of an attacker guesses slowly. */
const ANSWER_DELAY_MS = 1_000;
/** Points that a stranger pays for the lookup of a name. */
const LOGIN_POINTS = 10;

interface Limit {
  /** Failures without a delay. */
  readonly free: number;
  /** The delay after the first failure beyond; it doubles with each further one, up to the maximum. */
  readonly delayMs: number;
  readonly maxDelayMs: number;
}

/** Documented in docs/operations.md. */
export const LOGIN_LIMITS = {
  /** Failures of a client that has logged in to the account before, or presents a token of it. */
  knownClient: { free: 10, delayMs: 250, maxDelayMs: 1_500 },
  /** Failures of an address on an account (or on a name without one). */
  addressAndAccount: { free: 10, delayMs: 1_000, maxDelayMs: 300_000 },
  /** Failures of an address on any account, but for those that know it. */
  address: { free: 30, delayMs: 250, maxDelayMs: 10_000 },
  /** Failures on an account from all addresses that it does not know. */
  account: { free: 100, delayMs: 1_000, maxDelayMs: 60_000 },
} as const satisfies Record<string, Limit>;

export type LoginLimit = keyof typeof LOGIN_LIMITS;

/** The client that tries a password. */
export interface LoginClient {
  readonly address: string;
  /** The session or device whose token of the account the client presented. */
  readonly session?: string | undefined;
}

/** Where to count an attempt. */
interface Subject {
  readonly limit: LoginLimit;
  readonly key: string;
}

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
  /** Runs work and holds back its RATE_LIMITED, so that a client that ignores refusals is slowed down. */
  slowly<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Remembers the client of a new account. */
  remember(account: ActorRef, client: LoginClient): Promise<void>;
}

export interface LoginAttemptsOptions {
  readonly db: Db;
  readonly enabled: boolean;
  readonly securityLog: SecurityLog;
  readonly reportRefusal?: ReportRefusal | undefined;
  readonly databaseShares: DatabaseShares;
  /** Charges a stranger, by its address. */
  readonly operationLimits: Pick<OperationLimits, 'charge'>;
  readonly answerDelayMs?: number;
}

export function createLoginAttempts({
  db,
  enabled,
  securityLog,
  reportRefusal,
  databaseShares,
  operationLimits,
  answerDelayMs = ANSWER_DELAY_MS,
}: LoginAttemptsOptions): LoginAttempts {
  /** Passwords are remembered by a key of this process only. */
  const cacheKey = randomBytes(32);
  /** Wrong passwords of a client: one that is sent again is wrong, and no further guess. */
  const wrongPasswords = new LRUCache<string, true>({ max: MAX_CACHED, ttl: FAILURE_WINDOW_SECONDS * 1_000 });
  /** End of the delay of subjects, so that a flood of attempts needs no query. */
  const delayedUntil = new LRUCache<string, number>({ max: MAX_CACHED });
  /** Names that have logged in from an address. */
  const knownNames = new LRUCache<string, true>({ max: MAX_CACHED });
  const knownBatcher = createBatcher<KnownClient, boolean>((clients) => attempts.areKnown(db, clients), {
    maxBatchSize: 200,
  });
  const rememberedAt = new LRUCache<string, number>({ max: MAX_CACHED });
  const queueFullError = (): DomainError => {
    reportRefusal?.('queued logins');
    return delayedError(1_000);
  };
  const queue = new KeyedQueue({ ...ATTEMPTS, createError: queueFullError });

  const remainingDelay = async (subjects: readonly Subject[]): Promise<[LoginLimit, number] | undefined> => {
    const cached = longest(
      subjects.map(({ limit, key }) => [limit, (delayedUntil.get(key) ?? 0) - performance.now()] as const),
    );
    if (cached !== undefined) return cached;
    const counts = await attempts.findFailures(
      db,
      subjects.map(({ key }) => key),
    );
    return longest(
      subjects.map(({ limit, key }, index) => {
        const { failures = 0, msSinceLast = Infinity } = counts[index] ?? {};
        const remaining = delayAfter(LOGIN_LIMITS[limit], failures) - msSinceLast;
        if (remaining > 0) delayedUntil.set(key, performance.now() + remaining);
        return [limit, remaining] as const;
      }),
    );
  };

  /** Waits for a short delay of a known client. Throws RATE_LIMITED during any other delay. */
  const awaitTurn = async (attempt: Attempt, subjects: readonly Subject[]): Promise<void> => {
    const delay = await remainingDelay(subjects);
    if (delay === undefined) return;
    const [limit, remainingMs] = delay;
    if (limit === 'knownClient' && remainingMs <= MAX_WAIT_MS) return sleep(remainingMs);
    const { account, client } = attempt;
    reportRefusal?.('failed logins');
    securityLog.record('login delayed', { account, address: client.address, detail: limit });
    throw delayedError(remainingMs);
  };

  const remember = async (actor: ActorRef, { address }: LoginClient): Promise<void> => {
    const account = actorKey(actor);
    const key = `${account} ${address}`;
    const last = rememberedAt.get(key);
    if (last !== undefined && performance.now() - last < REMEMBER_INTERVAL_MS) return;
    await attempts.rememberClient(db, account, `address ${address}`, MAX_KNOWN_CLIENTS);
    rememberedAt.set(key, performance.now());
  };

  const runInTurn = async <Result>(
    attempt: Attempt,
    subjects: readonly Subject[],
    check: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> => {
    await awaitTurn(attempt, subjects);
    const result = await check();
    if (result === undefined) {
      const keys = subjects.map(({ key }) => key);
      await attempts.addFailures(db, keys, FAILURE_WINDOW_SECONDS);
      return undefined;
    }
    const [own] = subjects;
    if (own !== undefined) await attempts.clearFailures(db, own.key);
    if (attempt.account !== undefined) await remember(attempt.account, attempt.client);
    return result;
  };

  const slowly = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DomainError && error.code === 'RATE_LIMITED') await sleep(answerDelayMs);
      throw error;
    }
  };

  /** Returns how the account knows the client: by a token, or by its address. */
  const findKnown = async (
    account: string,
    { address, session }: LoginClient,
  ): Promise<string | undefined> => {
    if (session !== undefined) return `session ${session}`;
    const client = `address ${address}`;
    return (await knownBatcher.submit({ account, client })) ? client : undefined;
  };

  const runAs = async <Result>(
    attempt: Attempt,
    { target, knownAs }: { readonly target: string; readonly knownAs: string | undefined },
    check: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> => {
    const { name, password, passwordHash, client } = attempt;
    const subjects = subjectsOf(target, knownAs, client);
    const [{ key }] = subjects;
    if (knownAs !== undefined) knownNames.set(nameKey(name, client), true);
    const passwordKey = createHmac('sha256', cacheKey)
      .update(`${key}\0${passwordHash}\0${password}`)
      .digest('base64');
    if (wrongPasswords.has(passwordKey)) {
      await sleep(answerDelayMs);
      return undefined;
    }
    const result = await queue.run(key, () => runInTurn(attempt, subjects, check));
    if (result === undefined) wrongPasswords.set(passwordKey, true);
    else knownNames.set(nameKey(name, client), true);
    return result;
  };

  return {
    remember,
    slowly,
    async admit(name, client) {
      if (!enabled || client.session !== undefined || knownNames.has(nameKey(name, client))) return;
      const payer = { account: undefined, address: client.address, connection: undefined };
      await slowly(async () => operationLimits.charge(payer, LOGIN_POINTS));
    },
    async run(attempt, check) {
      const { account, name, client } = attempt;
      const target = account === undefined ? `name ${hash(emailKey(name))}` : actorKey(account);
      const knownAs = account === undefined ? undefined : await findKnown(target, client);
      const caller: HashCaller =
        knownAs === undefined ? { lane: 'strangers', key: client.address } : { lane: 'known', key: target };
      if (!enabled) return check(caller);
      // The statements of a known client do not wait behind those of strangers at its address.
      const payer = knownAs === undefined ? `logins ${client.address}` : `logins ${target}`;
      return slowly(() =>
        databaseShares.run(payer, () => runAs(attempt, { target, knownAs }, () => check(caller))),
      );
    },
  };
}

const nameKey = (name: string, { address }: LoginClient): string => `${hash(emailKey(name))} ${address}`;

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

function delayAfter({ free, delayMs, maxDelayMs }: Limit, failures: number): number {
  return failures < free ? 0 : Math.min(delayMs * 2 ** (failures - free), maxDelayMs);
}

/** Returns the longest delay that has not ended. */
function longest(delays: readonly (readonly [LoginLimit, number])[]): [LoginLimit, number] | undefined {
  const [limit, ms] = delays.reduce((a, b) => (b[1] > a[1] ? b : a), ['account', 0] as const);
  return ms > 0 ? [limit, ms] : undefined;
}

const delayedError = (remainingMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many failed logins. Try again later.', {
    retryAfterMs: Math.ceil(remainingMs),
  });

const hash = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 22);
