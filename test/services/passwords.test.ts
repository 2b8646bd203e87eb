import { randomBytes, scryptSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createPasswords } from '../../src/services/passwords.ts';

const CHEAP = { memoryKib: 8 };

/** Hashes a password as versions before Argon2id did. */
function hashWithScrypt(password: string, log2N = 10): string {
  const salt = randomBytes(16);
  const key = scryptSync(password, salt, 32, { N: 2 ** log2N, r: 8, p: 1, maxmem: 2 ** 27 });
  return `scrypt$${log2N}$8$1$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

test('a password verifies against its own salted hash only, at the production cost', async () => {
  const passwords = createPasswords();
  const [first, second] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(first).not.toBe(second);
  expect(passwords.isOutdated(first)).toBe(false);
  expect(await passwords.verify('secret', first)).toBe(true);
  expect(await passwords.verify('Secret', first)).toBe(false);
  expect(await passwords.verify('', null)).toBe(false);
});

test('a hash of other parameters than the configured ones still verifies, and is outdated', async () => {
  const [cheap, dear] = [createPasswords(CHEAP), createPasswords({ memoryKib: 16 })];
  const hash = await cheap.hash('secret');
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=8,t=2,p=1\$/);
  expect(await dear.verify('secret', hash)).toBe(true);
  expect(await dear.verify('Secret', hash)).toBe(false);
  expect(dear.isOutdated(hash)).toBe(true);
});

test('a scrypt hash of an earlier version still verifies, and is outdated', async () => {
  const passwords = createPasswords(CHEAP);
  const hash = hashWithScrypt('secret', 15);
  expect(await passwords.verify('secret', hash)).toBe(true);
  expect(await passwords.verify('Secret', hash)).toBe(false);
  expect(passwords.isOutdated(hash)).toBe(true);
});

test('a malformed hash matches no password', async () => {
  const passwords = createPasswords(CHEAP);
  for (const hash of ['', 'secret', 'scrypt$1$8$1$$', '$argon2id$v=19$m=8,t=2,p=1$c2FsdA$', '$2b$10$abc'])
    expect(await passwords.verify('secret', hash)).toBe(false);
});

test('a password verifies in any Unicode form', async () => {
  const passwords = createPasswords(CHEAP);
  const [composed, decomposed] = ['Zo\u00eb \u00a0x', 'Zoe\u0308 \u00a0x'];
  for (const password of [composed, decomposed]) {
    const hash = await passwords.hash(password);
    for (const input of [composed, decomposed, 'Zo\u00eb  x'])
      expect(await passwords.verify(input, hash)).toBe(true);
    expect(await passwords.verify('Zoe  x', hash)).toBe(false);
  }
});

test('a password hashed before normalisation was introduced still verifies', async () => {
  const passwords = createPasswords(CHEAP);
  for (const password of ['zo\u00eb', 'zoe\u0308', 'a\u00a0b', 'a\tb', '\u200b'])
    expect(await passwords.verify(password, hashWithScrypt(password))).toBe(true);
  expect(await passwords.verify('zo\u00eb', hashWithScrypt('zoe\u0308'))).toBe(true);
  expect(await passwords.verify('zoe\u0308', hashWithScrypt('zo\u00eb'))).toBe(true);
  expect(await passwords.verify('zoe', hashWithScrypt('zo\u00eb'))).toBe(false);
});

test('a password that is too long for any account matches none', async () => {
  const passwords = createPasswords(CHEAP);
  expect(await passwords.verify('x'.repeat(601), await passwords.hash('x'.repeat(601)))).toBe(false);
  expect(await passwords.verify('x'.repeat(601), await passwords.hash(''))).toBe(false);
});

test('strangers that fill their lane are refused, and delay neither known clients nor other strangers', async () => {
  const passwords = createPasswords(CHEAP);
  const hash = await passwords.hash('secret');
  const finished: string[] = [];
  const verify = async (lane: 'known' | 'strangers', key: string): Promise<void> => {
    try {
      await passwords.verify('secret', hash, { lane, key });
      finished.push(`${key} done`);
    } catch (error) {
      expect(error).toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } });
      finished.push(`${key} refused`);
    }
  };
  // 30 addresses fill the lane, and more come from the first of them.
  const attack = Array.from({ length: 600 }, (_, index) => verify('strangers', `10.0.0.${index % 30}`));
  const others = [verify('strangers', '192.0.2.1'), verify('known', 'user:1')];
  await Promise.all([...attack, ...others]);
  expect(finished).toContain('192.0.2.1 done');
  expect(finished.filter((result) => result.endsWith(' done')).indexOf('user:1 done')).toBeLessThan(4);
  expect(finished.filter((result) => result.endsWith(' refused')).length).toBeGreaterThan(400);
  const rank = finished.filter((result) => result.endsWith(' done')).indexOf('192.0.2.1 done');
  expect(rank).toBeLessThan(40);
});
