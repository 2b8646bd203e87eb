import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { DomainError } from '../errors.ts';
import { normalizePassword, passwordForms } from '../lib/text.ts';
import { createSemaphore } from '../lib/semaphore.ts';

interface Parameters {
  /** log2 of scrypt's N: the work doubles with each step. */
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

const CURRENT: Parameters = { cost: 15, blockSize: 8, parallelization: 1 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** Of no password, and as costly to compare with as any: an unknown account must not answer sooner than a known one. */
const NOBODY = encode(CURRENT, Buffer.alloc(SALT_BYTES), Buffer.alloc(KEY_BYTES));

/** Half of the threads that files and names of hosts need as well. */
const AT_ONCE = 2;
/** Some seconds' worth: whoever would wait for longer is told to come again. */
const MAX_WAITING = 100;

/** Hashes passwords, which is costly on purpose: a few at a time. Throws RATE_LIMITED when too many wait already. */
export interface Passwords {
  /** As `scrypt$<log2 N>$<r>$<p>$<salt>$<key>`, with a salt of its own. */
  hash(password: string): Promise<string>;
  /** Whether it is the hash of this password. Null, for an account that has none, takes as long and is false. */
  verify(password: string, hash: string | null): Promise<boolean>;
}

export function createPasswords(): Passwords {
  const turns = createSemaphore(AT_ONCE);
  const inTurn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (turns.waiting < MAX_WAITING) return turns.run(work);
    throw new DomainError('RATE_LIMITED', 'Too many are logging in at once. Try again later.', {
      retryAfterMs: 1_000,
    });
  };
  return {
    hash: (password) => inTurn(() => hashPassword(normalizePassword(password))),
    verify: (password, hash) => inTurn(() => verifyPassword(password, hash)),
  };
}

async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return encode(CURRENT, salt, await derive(password, salt, CURRENT));
}

async function verifyPassword(password: string, hash: string | null): Promise<boolean> {
  const [, cost, blockSize, parallelization, salt = '', key = ''] = (hash ?? NOBODY).split('$');
  const parameters = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
  };
  const expected = Buffer.from(key, 'base64url');
  let isRight = false;
  // All of them, also after the right one and for an unknown account: how long it takes tells nothing.
  for (const form of passwordForms(password)) {
    const derived = await derive(form, Buffer.from(salt, 'base64url'), parameters);
    isRight = timingSafeEqual(derived, expected) || isRight;
  }
  return isRight && hash !== null;
}

function encode({ cost, blockSize, parallelization }: Parameters, salt: Buffer, key: Buffer): string {
  return [
    'scrypt',
    cost,
    blockSize,
    parallelization,
    salt.toString('base64url'),
    key.toString('base64url'),
  ].join('$');
}

function derive(
  password: string,
  salt: Buffer,
  { cost, blockSize, parallelization }: Parameters,
): Promise<Buffer> {
  const N = 2 ** cost;
  const options = { N, r: blockSize, p: parallelization, maxmem: 2 * 128 * N * blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
