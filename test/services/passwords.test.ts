import { randomBytes, scryptSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createPasswords } from '../../src/services/passwords.ts';

const TEST_COST = 4;

test('a password verifies against its own salted hash only, at the production cost', async () => {
  const passwords = createPasswords();
  const [first, second] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
  expect(first).toMatch(/^scrypt\$15\$8\$1\$/);
  expect(first).not.toBe(second);
  expect(await passwords.verify('secret', first)).toBe(true);
  expect(await passwords.verify('Secret', first)).toBe(false);
  expect(await passwords.verify('', null)).toBe(false);
});

test('a hash of another cost than the configured one still verifies', async () => {
  const [lowCost, highCost] = [
    createPasswords({ cost: TEST_COST }),
    createPasswords({ cost: TEST_COST + 1 }),
  ];
  const hash = await lowCost.hash('secret');
  expect(hash).toMatch(/^scrypt\$4\$/);
  expect(await highCost.verify('secret', hash)).toBe(true);
  expect(await highCost.verify('Secret', hash)).toBe(false);
});

test('a password verifies in any Unicode form', async () => {
  const passwords = createPasswords({ cost: TEST_COST });
  const [composed, decomposed] = ['Zo\u00eb \u00a0x', 'Zoe\u0308 \u00a0x'];
  for (const password of [composed, decomposed]) {
    const hash = await passwords.hash(password);
    for (const input of [composed, decomposed, 'Zo\u00eb  x'])
      expect(await passwords.verify(input, hash)).toBe(true);
    expect(await passwords.verify('Zoe  x', hash)).toBe(false);
  }
});

test('a password hashed before normalisation was introduced still verifies', async () => {
  const passwords = createPasswords({ cost: TEST_COST });
  const hashUnnormalized = (password: string): string => {
    const salt = randomBytes(16);
    const key = scryptSync(password, salt, 32, { N: 2 ** 10, r: 8, p: 1 });
    return `scrypt$10$8$1$${salt.toString('base64url')}$${key.toString('base64url')}`;
  };
  for (const password of ['zo\u00eb', 'zoe\u0308', 'a\u00a0b', 'a\tb', '\u200b'])
    expect(await passwords.verify(password, hashUnnormalized(password))).toBe(true);
  expect(await passwords.verify('zo\u00eb', hashUnnormalized('zoe\u0308'))).toBe(true);
  expect(await passwords.verify('zoe\u0308', hashUnnormalized('zo\u00eb'))).toBe(true);
  expect(await passwords.verify('zoe', hashUnnormalized('zo\u00eb'))).toBe(false);
});

test('a full queue rejects further requests with RATE_LIMITED and serves the queued ones', async () => {
  const passwords = createPasswords({ cost: TEST_COST });
  const hash = await passwords.hash('secret');
  // Malformed hashes fail without work: only the queue is under test.
  const checks = Array.from({ length: 200 }, () => passwords.verify('secret', 'scrypt$1$8$1$$'));
  const excess = passwords.verify('secret', hash);
  await expect(excess).rejects.toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } });
  const results = await Promise.allSettled(checks);
  const rateLimited = results.filter(
    (result) => result.status === 'rejected' && result.reason?.code === 'RATE_LIMITED',
  );
  expect(rateLimited).toHaveLength(98);
  expect(await passwords.verify('secret', hash)).toBe(true);
});
