import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

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

/** Hashes a password as `scrypt$<log2 N>$<r>$<p>$<salt>$<key>`, with a salt of its own. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return encode(CURRENT, salt, await derive(password, salt, CURRENT));
}

/** Whether it is the hash of this password. Null, for an account that has none, takes as long and is false. */
export async function verifyPassword(password: string, hash: string | null): Promise<boolean> {
  const [, cost, blockSize, parallelization, salt = '', key = ''] = (hash ?? NOBODY).split('$');
  const parameters = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
  };
  const derived = await derive(password, Buffer.from(salt, 'base64url'), parameters);
  return timingSafeEqual(derived, Buffer.from(key, 'base64url')) && hash !== null;
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
