import { expect, test } from 'vitest';
import { verifyOnce } from '../../src/services/verified-tokens.ts';

function createVerifier() {
  const clock = { now: 1_000 };
  const verified: string[] = [];
  const verify = verifyOnce(
    async (text) => {
      verified.push(text);
      return text === 'invalid' ? undefined : { text, expiresAt: 5_000 };
    },
    () => clock.now,
  );
  return { clock, verified, verify };
}

test('a valid token is verified once', async () => {
  const { clock, verified, verify } = createVerifier();
  const token = await verify('a');
  expect(token).toEqual({ text: 'a', expiresAt: 5_000 });
  clock.now = 4_999;
  expect(await verify('a')).toBe(token);
  expect(await verify('b')).toMatchObject({ text: 'b' });
  expect(verified).toEqual(['a', 'b']);
});

test('an invalid token is verified each time', async () => {
  const { verified, verify } = createVerifier();
  expect([await verify('invalid'), await verify('invalid')]).toEqual([undefined, undefined]);
  expect(verified).toHaveLength(2);
});

test('a token is verified again once it has expired, and after the clock was set back', async () => {
  const { clock, verified, verify } = createVerifier();
  await verify('a');
  clock.now = 5_000;
  await verify('a');
  expect(verified).toHaveLength(2);
  clock.now = 999;
  await verify('a');
  expect(verified).toHaveLength(3);
});
