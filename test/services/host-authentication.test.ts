import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import type { Authenticate, ExternalUser } from '../../src/services/authenticate.ts';
import { createHostVerifier } from '../../src/services/host-authentication.ts';
import { createTokens } from '../../src/services/tokens.ts';

const NOW = Date.UTC(2030, 0, 1);

const verify = (authenticate: Authenticate, token = 'opaque', timeoutMs = 1_000) =>
  createHostVerifier({
    authenticate,
    issuer: 'host',
    now: () => NOW,
    log: createLogger('silent'),
    timeoutMs,
  })(token);

test('a user of the host is an external identity', async () => {
  const user: ExternalUser = {
    subject: '7',
    email: 'Ann@example.com',
    emailVerified: true,
    firstName: 'Ann',
    lastName: 'Lee',
    birthday: '2001-02-03',
    expiresAt: new Date(NOW + 60_000),
    issuedAt: new Date(NOW - 60_000),
    tokenId: 'session 7',
  };
  expect(await verify(() => user)).toEqual({
    kind: 'external',
    identity: {
      subject: 'host 7',
      email: 'Ann@example.com',
      emailVerified: true,
      firstName: 'Ann',
      lastName: 'Lee',
      birthday: '2001-02-03',
    },
    tokenId: 'session 7',
    issuedAt: NOW - 60_000,
    expiresAt: NOW + 60_000,
  });
});

test('a token without an expiry is valid for an hour, and an expired one is invalid', async () => {
  expect(await verify(() => ({ subject: '7' }))).toMatchObject({
    expiresAt: NOW + 3_600_000,
    issuedAt: null,
    identity: { emailVerified: false },
  });
  expect(await verify(() => ({ subject: '7', expiresAt: new Date(NOW) }))).toBeUndefined();
  expect(await verify(() => null)).toBeUndefined();
  expect(await verify(async () => undefined)).toBeUndefined();
});

test.for<[name: string, authenticate: Authenticate]>([
  [
    'throws',
    () => {
      throw new Error('database');
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('database');
    },
  ],
  ['never settles', () => new Promise(() => undefined)],
  ['returns an empty subject', () => ({ subject: '' })],
  ['returns an invalid date', () => ({ subject: '7', expiresAt: new Date('x') })],
  ['returns an empty token id', () => ({ subject: '7', tokenId: '' })],
])('a function that %s makes the token unavailable, not invalid', async ([, authenticate]) => {
  await expect(verify(authenticate, 'opaque', 50)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('the id of a token depends on all of it, but not on the encoding of a JWT signature', async () => {
  const idOf = async (token: string) => (await verify(() => ({ subject: '7' }), token))?.tokenId;
  expect(await idOf('key.secret-a')).not.toBe(await idOf('key.secret-b'));
  expect(await idOf('eyJhbGciOiJ9.eyJzdWIiOiI3In0.AAAA')).toBe(
    await idOf('eyJhbGciOiJ9.eyJzdWIiOiI3In0.AAAB'),
  );
  expect(await idOf('eyJhbGciOiJ9.eyJzdWIiOiI3In0.AAAA')).not.toBe(
    await idOf('eyJhbGciOiJ9.eyJzdWIiOiI4In0.AAAA'),
  );
});

test('the host sees only tokens that were not issued here', async () => {
  const seen: string[] = [];
  const tokens = createTokens({
    secret: 'a secret of the tests, long enough',
    async verifyByHost(token) {
      seen.push(token);
      return undefined;
    },
  });
  const { token } = await tokens.issue({ kind: 'user', id: 1 as never });
  expect(await tokens.verify(token)).toMatchObject({ kind: 'local' });
  const other = createTokens({ secret: 'another secret, of the same length' });
  const foreign = (await other.issue({ kind: 'user', id: 1 as never })).token;
  for (const unknown of ['opaque', foreign]) expect(await tokens.verify(unknown)).toBeUndefined();
  expect(await tokens.verify('x'.repeat(20_000))).toBeUndefined();
  expect(seen).toEqual(['opaque', foreign]);
});
