import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { DomainError } from '../errors.ts';
import { Semaphore } from '../lib/semaphore.ts';
import { normalizePassword, passwordForms } from '../lib/text.ts';

interface ScryptParameters {
  /** log2 of N: each step doubles CPU time and memory. */
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

const DEFAULT_COST = 15;
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** Half of libuv's default thread pool, which file access and DNS lookups share. */
const CONCURRENCY = 2;
/** Bounds the time in the queue to a few seconds: a hash takes about 0.1 s of CPU. */
const MAX_QUEUED_TASKS = 100;

/** Hashes and verifies passwords, at most two concurrently. Throws RATE_LIMITED when the queue is full. */
export interface Passwords {
  /** Returns `scrypt$<log2 N>$<r>$<p>$<salt>$<key>` with a fresh salt. */
  hash(password: string): Promise<string>;
  /** Checks a password against a hash. For null (no such account) takes the same time and returns false. */
  verify(password: string, hash: string | null): Promise<boolean>;
}

export interface PasswordOptions {
  /** log2 of scrypt's N for new hashes; tests use a low one. A stored hash names its own. */
  readonly cost?: number | undefined;
}

export function createPasswords({ cost = DEFAULT_COST }: PasswordOptions = {}): Passwords {
  const parameters: ScryptParameters = { cost, blockSize: 8, parallelization: 1 };
  // Verified when there is no hash, so that response times do not reveal which accounts exist.
  const dummyHash = encodeHash(parameters, Buffer.alloc(SALT_BYTES), Buffer.alloc(KEY_BYTES));
  const semaphore = new Semaphore(CONCURRENCY);
  const runQueued = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (semaphore.queuedCount < MAX_QUEUED_TASKS) return semaphore.run(work);
    throw new DomainError('RATE_LIMITED', 'Too many concurrent logins. Try again later.', {
      retryAfterMs: 1_000,
    });
  };
  return {
    hash: (password) => runQueued(() => hashPassword(normalizePassword(password), parameters)),
    verify: (password, hash) =>
      runQueued(async () => {
        const isMatch = await verifyPassword(password, hash ?? dummyHash);
        return isMatch && hash !== null;
      }),
  };
}

async function hashPassword(password: string, parameters: ScryptParameters): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return encodeHash(parameters, salt, await deriveKey(password, salt, parameters));
}

async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const [, cost, blockSize, parallelization, salt = '', key = ''] = hash.split('$');
  const parameters = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
  };
  const expected = Buffer.from(key, 'base64url');
  let isMatch = false;
  // No early exit on a match: the time taken must not depend on which form matches, or whether one does.
  for (const form of passwordForms(password)) {
    const derived = await deriveKey(form, Buffer.from(salt, 'base64url'), parameters);
    isMatch = timingSafeEqual(derived, expected) || isMatch;
  }
  return isMatch;
}

function encodeHash(
  { cost, blockSize, parallelization }: ScryptParameters,
  salt: Buffer,
  key: Buffer,
): string {
  return [
    'scrypt',
    cost,
    blockSize,
    parallelization,
    salt.toString('base64url'),
    key.toString('base64url'),
  ].join('$');
}

function deriveKey(
  password: string,
  salt: Buffer,
  { cost, blockSize, parallelization }: ScryptParameters,
): Promise<Buffer> {
  const N = 2 ** cost;
  // scrypt needs 128 * N * r bytes; Node's default limit is 32 MiB.
  const options = { N, r: blockSize, p: parallelization, maxmem: 2 * 128 * N * blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
