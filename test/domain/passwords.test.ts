import { expect, test } from 'vitest';
import { createPasswords } from '../../src/domain/passwords.ts';

test('a password fits its own hash and no other, and nothing fits none', async () => {
  const passwords = createPasswords();
  const [first, second] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
  expect(first).not.toBe(second);
  expect(await passwords.verify('secret', first)).toBe(true);
  expect(await passwords.verify('Secret', first)).toBe(false);
  expect(await passwords.verify('', null)).toBe(false);
});

test('when too many wait, whoever comes then is refused, and the others are served', async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash('secret');
  // None of these is a hash: only the waiting is at stake here.
  const many = Array.from({ length: 200 }, () => passwords.verify('secret', 'scrypt$1$8$1$$'));
  const refused = passwords.verify('secret', hash);
  await expect(refused).rejects.toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } });
  const outcomes = await Promise.allSettled(many);
  const limited = outcomes.filter((one) => one.status === 'rejected' && one.reason?.code === 'RATE_LIMITED');
  expect(limited).toHaveLength(98);
  expect(await passwords.verify('secret', hash)).toBe(true);
});
