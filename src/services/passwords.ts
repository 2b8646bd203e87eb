import { argon2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { DomainError } from '../errors.ts';
import { KeyedQueue } from '../lib/keyed-queue.ts';
import type { ReportRefusal } from './refusals.ts';
import { isTooLongForPassword, normalizePassword, passwordForms } from '../lib/text.ts';

/** Argon2id at the parameters that the OWASP Password Storage Cheat Sheet recommends. */
const DEFAULT_MEMORY_KIB = 19_456;
const PASSES = 2;
const PARALLELISM = 1;
const ARGON2_VERSION = 0x13;
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** Parameters of the scrypt hashes that versions before Argon2id stored. */
const SCRYPT = { log2N: 15, blockSize: 8, parallelization: 1 };

/** Each lane hashes on its own threads of libuv's pool of four, which file access and DNS lookups share. */
const LANES = {
  known: { concurrency: 2, maxQueued: 500, maxQueuedPerKey: 10 },
  strangers: { concurrency: 1, maxQueued: 100, maxQueuedPerKey: 10 },
};

/**
 * Whose password it is: a client that has logged in to this account before (by the account), or a stranger (by its
 * address). Strangers cannot delay known clients, and neither can one address or account delay the others.
 */
export interface HashCaller {
  readonly lane: keyof typeof LANES;
  readonly key: string;
}

/** Hashes and verifies passwords, few concurrently. Throws RATE_LIMITED when the caller's lane is full. */
export interface Passwords {
  /** Returns an Argon2id hash with a fresh salt, in the PHC string format. */
  hash(password: string, caller?: HashCaller): Promise<string>;
  /** Checks a password against a hash. For null (no such account) takes the same time and returns false. */
  verify(password: string, hash: string | null, caller?: HashCaller): Promise<boolean>;
  /** Whether a hash has other parameters than new ones: it is replaced at the next login. */
  isOutdated(hash: string): boolean;
}

export interface PasswordOptions {
  /** Memory of Argon2id in KiB, for new hashes; tests use little. A stored hash names its own. */
  readonly memoryKib?: number | undefined;
  /** Whether accounts may have scrypt hashes. A failed check then takes as long as one of either kind. */
  readonly hasScryptHashes?: boolean | undefined;
  readonly reportRefusal?: ReportRefusal | undefined;
}

interface Argon2Hash {
  readonly kind: 'argon2id';
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

interface ScryptHash {
  readonly kind: 'scrypt';
  readonly log2N: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** The server itself, at startup and in tests. */
const SERVER: HashCaller = { lane: 'known', key: 'server' };

export function createPasswords({
  memoryKib = DEFAULT_MEMORY_KIB,
  hasScryptHashes = false,
  reportRefusal,
}: PasswordOptions = {}): Passwords {
  const createLane = (lane: HashCaller['lane']): KeyedQueue =>
    new KeyedQueue({
      ...LANES[lane],
      createError(key) {
        reportRefusal?.('queued logins', lane === 'strangers' ? { address: key } : {});
        return laneFullError();
      },
    });
  const lanes = { known: createLane('known'), strangers: createLane('strangers') };
  const run = <Result>({ lane, key }: HashCaller, task: () => Promise<Result>): Promise<Result> =>
    lanes[lane].run(key, task);
  const blank = { salt: Buffer.alloc(SALT_BYTES), key: Buffer.alloc(KEY_BYTES) };
  // Verified when there is no hash, so that response times do not reveal which accounts exist.
  const dummies = {
    argon2id: { kind: 'argon2id', memory: memoryKib, passes: PASSES, parallelism: PARALLELISM, ...blank },
    scrypt: { kind: 'scrypt', ...SCRYPT, ...blank },
  } as const;

  const verify = async (password: string, hash: string | null): Promise<boolean> => {
    // Too long for any account: hashed in part, as its size must not decide the time.
    const isTooLong = isTooLongForPassword(password);
    const typed = isTooLong ? '' : password;
    const parsed = hash === null ? undefined : parseHash(hash);
    const { kind } = parsed ?? dummies.argon2id;
    const isMatch = await matches(typed, parsed ?? dummies.argon2id);
    if (isMatch && parsed !== undefined && !isTooLong) return true;
    if (hasScryptHashes || kind === 'scrypt')
      await matches(typed, kind === 'scrypt' ? dummies.argon2id : dummies.scrypt);
    return false;
  };

  return {
    hash: (password, caller = SERVER) =>
      run(caller, async () => {
        const salt = randomBytes(SALT_BYTES);
        const parameters = { memory: memoryKib, passes: PASSES, parallelism: PARALLELISM, salt };
        return encodeHash({
          ...parameters,
          key: await deriveArgon2(normalizePassword(password), parameters),
        });
      }),
    verify: (password, hash, caller = SERVER) => run(caller, () => verify(password, hash)),
    isOutdated(hash) {
      const parsed = parseHash(hash);
      if (parsed?.kind !== 'argon2id') return true;
      const { memory, passes, parallelism } = parsed;
      return memory !== memoryKib || passes !== PASSES || parallelism !== PARALLELISM;
    },
  };
}

const laneFullError = (): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many concurrent logins. Try again later.', { retryAfterMs: 1_000 });

async function matches(password: string, hash: Argon2Hash | ScryptHash): Promise<boolean> {
  // Argon2id hashes are of normalised passwords only.
  if (hash.kind === 'argon2id')
    return timingSafeEqual(await deriveArgon2(normalizePassword(password), hash), hash.key);
  let isMatch = false;
  // No early exit on a match: the time taken must not depend on which form matches, or whether one does.
  for (const form of passwordForms(password))
    isMatch = timingSafeEqual(await deriveScrypt(form, hash), hash.key) || isMatch;
  return isMatch;
}

const toBase64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

/** Encodes a hash in the PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>`. */
const encodeHash = ({ memory, passes, parallelism, salt, key }: Omit<Argon2Hash, 'kind'>): string =>
  `$argon2id$v=${ARGON2_VERSION}$m=${memory},t=${passes},p=${parallelism}$${toBase64(salt)}$${toBase64(key)}`;

const PHC =
  /^\$argon2id\$v=19\$m=(?<memory>\d{1,8}),t=(?<passes>\d{1,4}),p=(?<parallelism>\d{1,3})\$(?<salt>[\w+/]+)\$(?<key>[\w+/]{43})$/;
const SCRYPT_HASH =
  /^scrypt\$(?<log2N>\d{1,2})\$(?<blockSize>\d{1,2})\$(?<parallelization>\d{1,2})\$(?<salt>[\w-]+)\$(?<key>[\w-]{43})$/;

/** Parses a stored hash. Undefined for one of an unknown kind, which no password matches. */
function parseHash(text: string): Argon2Hash | ScryptHash | undefined {
  const phc = PHC.exec(text)?.groups;
  if (phc !== undefined) {
    const { memory, passes, parallelism, salt = '', key = '' } = phc;
    return {
      kind: 'argon2id',
      memory: Number(memory),
      passes: Number(passes),
      parallelism: Number(parallelism),
      salt: Buffer.from(salt, 'base64'),
      key: Buffer.from(key, 'base64'),
    };
  }
  const stored = SCRYPT_HASH.exec(text)?.groups;
  if (stored === undefined) return undefined;
  const { log2N, blockSize, parallelization, salt = '', key = '' } = stored;
  return {
    kind: 'scrypt',
    log2N: Number(log2N),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
    salt: Buffer.from(salt, 'base64url'),
    key: Buffer.from(key, 'base64url'),
  };
}

function deriveArgon2(
  password: string,
  { memory, passes, parallelism, salt }: Omit<Argon2Hash, 'kind' | 'key'>,
): Promise<Buffer> {
  const parameters = { message: password, nonce: salt, memory, passes, parallelism, tagLength: KEY_BYTES };
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function deriveScrypt(
  password: string,
  { log2N, blockSize, parallelization, salt }: Omit<ScryptHash, 'kind' | 'key'>,
): Promise<Buffer> {
  const N = 2 ** log2N;
  // scrypt needs 128 * N * r bytes; Node's default limit is 32 MiB.
  const options = { N, r: blockSize, p: parallelization, maxmem: 2 * 128 * N * blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
