import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import type { CryptoKey, JWK, JWTPayload } from 'jose';
import { expect, test } from 'vitest';
import { createTokens } from '../../src/services/tokens.ts';
import type { Tokens } from '../../src/services/tokens.ts';
import type { DeviceId, UserId } from '../../src/ids.ts';

const SECRET = 'sixteen letters!';
const DEVICE_SECRET = 'another sixteen!';
const HOUR = 3600;

const nowSeconds = () => Math.floor(Date.now() / 1000);
const encodeUtf8 = (secret: string) => new TextEncoder().encode(secret);
const ann = { kind: 'user', id: 7 as UserId } as const;
const lamp = { kind: 'device', id: 4 as DeviceId } as const;

/** Signs claims that jose rejects: `sub` as an integer, as the original server wrote it. */
function sign(claims: object, secret = SECRET, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const actorOf = async (tokens: Tokens, token: string) => {
  const verified = await tokens.verify(token);
  return verified?.kind === 'local' ? verified.actor : undefined;
};

test('a token of a user is valid for a day', async () => {
  const tokens = createTokens({ secret: SECRET });
  const issued = await tokens.issue(ann);
  expect(await tokens.verify(issued.token)).toEqual({
    kind: 'local',
    actor: ann,
    tokenId: issued.tokenId,
    issuedAt: expect.any(Number),
    expiresAt: issued.expiresAt,
    family: { id: expect.any(String), endsAt: expect.any(Number) },
    generation: 0,
  });
  expect(issued.expiresAt - Date.now()).toBeGreaterThan(23.9 * HOUR * 1000);
  expect(issued.expiresAt - Date.now()).toBeLessThanOrEqual(24 * HOUR * 1000);
});

test('a token of a device is valid for thirty days, with or without AUTH_DEVICE_SECRET', async () => {
  for (const deviceSecret of [undefined, DEVICE_SECRET, SECRET]) {
    const tokens = createTokens({ secret: SECRET, deviceSecret });
    const issued = await tokens.issue(lamp);
    expect(await actorOf(tokens, issued.token)).toEqual(lamp);
    expect((issued.expiresAt - Date.now()) / 1000 / HOUR).toBeCloseTo(30 * 24, 0);
    expect(await actorOf(tokens, (await tokens.issue(ann)).token)).toEqual(ann);
  }
});

test('every token has a unique id', async () => {
  const tokens = createTokens({ secret: SECRET });
  const [first, second] = [await tokens.issue(ann), await tokens.issue(ann)];
  expect(first.tokenId).not.toBe(second.tokenId);
});

test('tokens of the original server, with an integer sub and no jti, are distinguished by their secret', async () => {
  const tokens = createTokens({ secret: SECRET, deviceSecret: DEVICE_SECRET });
  const claims = { exp: nowSeconds() + HOUR, iat: nowSeconds(), sub: 7 };
  expect(await tokens.verify(sign(claims))).toEqual({
    kind: 'local',
    actor: ann,
    tokenId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    issuedAt: claims.iat * 1000,
    expiresAt: claims.exp * 1000,
  });
  expect(await actorOf(tokens, sign({ ...claims, sub: 4 }, DEVICE_SECRET))).toEqual(lamp);
});

test('a token signed with the device secret belongs to a device, regardless of its claims', async () => {
  const tokens = createTokens({ secret: SECRET, deviceSecret: DEVICE_SECRET });
  expect(
    await actorOf(tokens, sign({ exp: nowSeconds() + HOUR, sub: 4, kind: 'user' }, DEVICE_SECRET)),
  ).toEqual(lamp);
});

test('new tokens are signed with the first of several secrets, and all secrets are accepted', async () => {
  const claims = { exp: nowSeconds() + HOUR, sub: 7 };
  const tokens = createTokens({
    secret: ['a new secret of the tests', SECRET],
    deviceSecret: [DEVICE_SECRET],
  });
  expect(await actorOf(tokens, sign(claims))).toEqual(ann);
  expect(await actorOf(tokens, sign(claims, 'a new secret of the tests'))).toEqual(ann);
  expect(await actorOf(tokens, sign({ ...claims, sub: 4 }, DEVICE_SECRET))).toEqual(lamp);
  const { token } = await tokens.issue(ann);
  expect(await actorOf(createTokens({ secret: 'a new secret of the tests' }), token)).toEqual(ann);
  expect(await actorOf(createTokens({ secret: SECRET }), token)).toBeUndefined();
});

test('without a device secret the kind claim distinguishes devices', async () => {
  const tokens = createTokens({ secret: SECRET });
  expect(await actorOf(tokens, sign({ exp: nowSeconds() + HOUR, sub: '4', kind: 'device' }))).toEqual(lamp);
  expect(await actorOf(tokens, sign({ exp: nowSeconds() + HOUR, sub: '7', kind: 'user' }))).toEqual(ann);
  expect(await actorOf(tokens, sign({ exp: nowSeconds() + HOUR, sub: '7', kind: 'bot' }))).toBeUndefined();
});

test('a sub that is not an account id is rejected', async () => {
  const tokens = createTokens({ secret: SECRET });
  for (const sub of [
    undefined,
    null,
    true,
    0,
    -7,
    7.5,
    2 ** 31,
    '',
    'seven',
    '7.0',
    ' 7',
    ['7'],
    { id: 7 },
  ]) {
    expect(await tokens.verify(sign({ exp: nowSeconds() + HOUR, sub }))).toBeUndefined();
  }
});

test('tokens that are expired, without expiry or not yet valid are rejected', async () => {
  const tokens = createTokens({ secret: SECRET });
  expect(await tokens.verify(sign({ sub: 7, exp: nowSeconds() - 1 }))).toBeUndefined();
  expect(await tokens.verify(sign({ sub: 7 }))).toBeUndefined();
  expect(await tokens.verify(sign({ sub: 7, exp: 'tomorrow' }))).toBeUndefined();
  expect(
    await tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR, nbf: nowSeconds() + HOUR })),
  ).toBeUndefined();
});

test('a token of an issuer a few seconds ahead is accepted, an expired one is not', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('ES256');
  const tokens = createTokensWith(provider);
  const verifyLocal = async (claims: object) =>
    tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR, ...claims }));
  const verifyExternal = async (claims: JWTPayload) =>
    tokens.verify(await signExternal(key, { alg: 'ES256' }, claims));
  for (const verify of [verifyLocal, verifyExternal]) {
    expect(await verify({ nbf: nowSeconds() + 5, iat: nowSeconds() + 5 })).toBeDefined();
    expect(await verify({ nbf: nowSeconds() + 60 })).toBeUndefined();
    expect(await verify({ exp: nowSeconds() - 1 })).toBeUndefined();
    expect(await verify({ exp: nowSeconds() })).toBeUndefined();
  }
});

test('an expiry beyond the range of dates is clamped', async () => {
  const tokens = createTokens({ secret: SECRET });
  const verified = await tokens.verify(sign({ sub: 7, exp: 1e300 }));
  expect(new Date(verified?.expiresAt ?? NaN).getUTCFullYear()).toBe(9999);
});

test('tokens of another secret, modified ones and arbitrary text are rejected', async () => {
  const tokens = createTokens({ secret: SECRET, deviceSecret: DEVICE_SECRET });
  const validToken = sign({ sub: 7, exp: nowSeconds() + HOUR });
  const [header, , signature] = validToken.split('.');
  const forgedClaims = Buffer.from(JSON.stringify({ sub: 8, exp: nowSeconds() + HOUR })).toString(
    'base64url',
  );
  const invalidTokens = [
    sign({ sub: 7, exp: nowSeconds() + HOUR }, 'a foreign secret'),
    `${header}.${forgedClaims}.${signature}`,
    `${validToken}x`,
    `${validToken}.`,
    validToken.slice(0, -5),
    '',
    '.',
    '..',
    'User not found',
    'Bearer x',
    'é'.repeat(50),
    'x'.repeat(100_000),
    `${validToken.slice(0, validToken.indexOf('.'))}..`,
  ];
  for (const token of invalidTokens) expect(await tokens.verify(token)).toBeUndefined();
});

test('only HS256 is accepted with a secret', async () => {
  const tokens = createTokens({ secret: SECRET });
  for (const alg of ['HS384', 'HS512']) {
    const token = await new SignJWT({})
      .setProtectedHeader({ alg })
      .setSubject('7')
      .setExpirationTime('1h')
      .sign(encodeUtf8(SECRET));
    expect(await tokens.verify(token)).toBeUndefined();
  }
  expect(
    await tokens.verify(new UnsecuredJWT({}).setSubject('7').setExpirationTime('1h').encode()),
  ).toBeUndefined();
  for (const alg of ['none', 'None', 'NONE', '', 'hs256', 'RS256', undefined]) {
    expect(await tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR }, SECRET, { alg }))).toBeUndefined();
    const [header, claims] = sign({ sub: 7, exp: nowSeconds() + HOUR }, SECRET, { alg }).split('.');
    expect(await tokens.verify(`${header}.${claims}.`)).toBeUndefined();
  }
});

test('a header with critical extensions is rejected', async () => {
  const tokens = createTokens({ secret: SECRET });
  const header = { alg: 'HS256', crit: ['exp2'], exp2: 1 };
  expect(await tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR }, SECRET, header))).toBeUndefined();
});

test('a token without jti has the same id for every encoding of its signature', async () => {
  const tokens = createTokens({ secret: SECRET });
  const token = sign({ sub: 7, exp: nowSeconds() + HOUR });
  const id = (await tokens.verify(token))?.tokenId;
  // The last letter of 32 bytes in base64url has two unused bits.
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = letters.indexOf(token.at(-1) ?? '');
  for (const spareBits of [1, 2, 3]) {
    const verified = await tokens.verify(token.slice(0, -1) + letters[(last & ~3) | spareBits]);
    expect([undefined, id]).toContain(verified?.tokenId);
  }
});

test('a jti that cannot be stored is replaced by the hash', async () => {
  const tokens = createTokens({ secret: SECRET });
  for (const jti of ['', 'a\0b', '\ud800', 'x'.repeat(10_000), 7]) {
    expect((await tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR, jti })))?.tokenId).toMatch(
      /^sha256:/,
    );
  }
  expect((await tokens.verify(sign({ sub: 7, exp: nowSeconds() + HOUR, jti: 'mine' })))?.tokenId).toBe(
    'mine',
  );
});

const ISSUER = 'https://login.example.com/';

interface Provider extends AsyncDisposable {
  readonly url: string;
  readonly reads: number;
  /** Creates a key and publishes it, beside the others or instead of them. Returns the private key. */
  addKey(alg: string, options?: { kid?: string; replace?: boolean }): Promise<CryptoKey>;
  publish(keys: readonly JWK[]): void;
  /** Sets the status of later responses. */
  setStatus(status: number): void;
}

/** Starts an HTTP server that serves the key set of an identity provider. */
async function startProvider(): Promise<Provider> {
  let keys: JWK[] = [];
  let status = 200;
  let reads = 0;
  const server = createServer((_request, response) => {
    reads += 1;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/jwks`,
    get reads() {
      return reads;
    },
    async addKey(alg, { kid, replace = false } = {}) {
      const pair = await generateKeyPair(alg, { extractable: true });
      const jwk = { ...(await exportJWK(pair.publicKey)), alg, use: 'sig', ...(kid && { kid }) };
      keys = replace ? [jwk] : [...keys, jwk];
      return pair.privateKey;
    },
    publish: (published) => void (keys = [...published]),
    setStatus: (newStatus) => void (status = newStatus),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const createTokensWith = (provider: Provider, options: { audience?: string; cooldownMs?: number } = {}) =>
  createTokens({ secret: SECRET, jwks: { url: provider.url, issuer: ISSUER, cooldownMs: 0, ...options } });

function signExternal(
  key: CryptoKey,
  header: { alg: string; kid?: string; typ?: string },
  claims: JWTPayload = {},
): Promise<string> {
  const standard = { iss: ISSUER, sub: 'abc', exp: nowSeconds() + HOUR };
  return new SignJWT({ ...standard, ...claims }).setProtectedHeader(header).sign(key);
}

test("an external token is verified with the provider's published key", async () => {
  await using provider = await startProvider();
  for (const alg of ['RS256', 'ES256', 'EdDSA', 'PS256']) {
    const key = await provider.addKey(alg, { kid: alg });
    const exp = nowSeconds() + HOUR;
    const token = await signExternal(key, { alg, kid: alg }, { exp, jti: 'j', email: 'ann@example.com' });
    expect(await createTokensWith(provider).verify(token)).toEqual({
      kind: 'external',
      tokenId: 'j',
      issuedAt: null,
      expiresAt: exp * 1000,
      identity: {
        subject: `${ISSUER} abc`,
        email: 'ann@example.com',
        emailVerified: false,
        firstName: '',
        lastName: '',
        birthday: null,
      },
    });
  }
});

test('standard claims of the provider are parsed, invalid ones ignored', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('ES256');
  const tokens = createTokensWith(provider);
  const readIdentity = async (claims: JWTPayload) => {
    const verified = await tokens.verify(await signExternal(key, { alg: 'ES256' }, claims));
    return verified?.kind === 'external' ? verified.identity : undefined;
  };
  expect(
    await readIdentity({
      email: ' ann@example.com ',
      email_verified: true,
      given_name: 'Ann',
      family_name: 'Lee',
      birthdate: '1990-02-28',
    }),
  ).toEqual({
    subject: `${ISSUER} abc`,
    email: 'ann@example.com',
    emailVerified: true,
    firstName: 'Ann',
    lastName: 'Lee',
    birthday: '1990-02-28',
  });
  expect(await readIdentity({ name: 'Ann Mary Lee' })).toMatchObject({
    firstName: 'Ann',
    lastName: 'Mary Lee',
  });
  expect(
    await readIdentity({
      email: 'no address',
      email_verified: 'yes',
      given_name: 7,
      name: ['x'],
      birthdate: '1990-02-30',
    }),
  ).toEqual({
    subject: `${ISSUER} abc`,
    email: undefined,
    emailVerified: false,
    firstName: '',
    lastName: '',
    birthday: null,
  });
  expect(await readIdentity({ given_name: `\0\ud800${'x'.repeat(80)}` })).toMatchObject({
    firstName: `\ufffd${'x'.repeat(49)}`,
  });
  expect(await readIdentity({ sub: 'x'.repeat(300) })).toBeUndefined();
  expect(await readIdentity({ sub: 'a\0b' })).toBeUndefined();
  expect(await readIdentity({ kind: 'device' })).toBeUndefined();
});

test('an external token of another issuer or audience, or outside its lifetime, is rejected', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('RS256', { kid: 'k' });
  const header = { alg: 'RS256', kid: 'k' };
  const tokens = createTokensWith(provider, { audience: 'parley' });
  const verify = async (claims: JWTPayload) => tokens.verify(await signExternal(key, header, claims));
  expect(await verify({ aud: 'parley' })).toBeDefined();
  expect(await verify({ aud: ['other', 'parley'] })).toBeDefined();
  expect(await verify({ aud: 'other' })).toBeUndefined();
  expect(await verify({})).toBeUndefined();
  expect(await verify({ aud: 'parley', iss: 'https://login.example.com' })).toBeUndefined();
  expect(await verify({ aud: 'parley', iss: undefined })).toBeUndefined();
  expect(await verify({ aud: 'parley', exp: nowSeconds() - 1 })).toBeUndefined();
  expect(await verify({ aud: 'parley', exp: undefined })).toBeUndefined();
  expect(await verify({ aud: 'parley', nbf: nowSeconds() + HOUR })).toBeUndefined();
  expect(await verify({ aud: 'parley', sub: undefined })).toBeUndefined();
});

test('keys that the provider adds are found, removed ones are not', async () => {
  await using provider = await startProvider();
  const first = await provider.addKey('RS256', { kid: 'first' });
  const tokens = createTokensWith(provider);
  const byFirst = await signExternal(first, { alg: 'RS256', kid: 'first' });
  expect(await tokens.verify(byFirst)).toBeDefined();

  const second = await provider.addKey('RS256', { kid: 'second', replace: true });
  const bySecond = await signExternal(second, { alg: 'RS256', kid: 'second' });
  expect(await tokens.verify(bySecond)).toBeDefined();
  expect(await tokens.verify(byFirst)).toBeUndefined();
});

test('unknown keys refetch the key set at most once per cooldown', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('RS256', { kid: 'known' });
  const tokens = createTokensWith(provider, { cooldownMs: 60_000 });
  expect(await tokens.verify(await signExternal(key, { alg: 'RS256', kid: 'known' }))).toBeDefined();
  for (const kid of ['a', 'b', 'c', 'd']) {
    expect(await tokens.verify(await signExternal(key, { alg: 'RS256', kid }))).toBeUndefined();
  }
  expect(provider.reads).toBe(1);
});

test('a token with an unknown key that is newer than the key set is not judged during the cooldown', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('RS256', { kid: 'known' });
  const tokens = createTokensWith(provider, { cooldownMs: 60_000 });
  await tokens.verify(await signExternal(key, { alg: 'RS256', kid: 'known' }));
  const verify = async (iat: number) =>
    tokens.verify(await signExternal(key, { alg: 'RS256', kid: 'new' }, { iat }));
  await expect(verify(nowSeconds() + 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await verify(nowSeconds() - 60)).toBeUndefined();
  expect(provider.reads).toBe(1);
});

test('external tokens that are not for access are rejected; ID tokens only where any audience is accepted', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('RS256', { kid: 'k' });
  const verify = async (typ: string | undefined, claims: JWTPayload, audience?: string) =>
    createTokensWith(provider, audience === undefined ? {} : { audience }).verify(
      await signExternal(key, { alg: 'RS256', kid: 'k', ...(typ && { typ }) }, { aud: 'parley', ...claims }),
    );
  for (const typ of [undefined, 'JWT', 'at+jwt', 'application/at+jwt'])
    expect(await verify(typ, {})).toBeDefined();
  for (const audience of [undefined, 'parley']) {
    for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt'])
      expect(await verify(typ, {}, audience)).toBeUndefined();
    for (const claims of [{ typ: 'Refresh' }, { typ: 'Logout' }, { events: {} }])
      expect(await verify('JWT', claims, audience)).toBeUndefined();
  }
  for (const claims of [{ typ: 'ID' }, { token_use: 'id' }, { nonce: 'n' }, { at_hash: 'h' }]) {
    expect(await verify('JWT', claims)).toBeUndefined();
    expect(await verify('JWT', claims, 'parley')).toBeDefined();
  }
});

test('without a kid every key of the provider is tried', async () => {
  await using provider = await startProvider();
  const keys = [
    await provider.addKey('RS256'),
    await provider.addKey('RS256'),
    await provider.addKey('RS256'),
  ];
  const tokens = createTokensWith(provider);
  for (const key of keys)
    expect(await tokens.verify(await signExternal(key, { alg: 'RS256' }))).toBeDefined();
  const foreignKey = await generateKeyPair('RS256');
  expect(await tokens.verify(await signExternal(foreignKey.privateKey, { alg: 'RS256' }))).toBeUndefined();
});

test("a foreign key with a known kid is not accepted as the provider's", async () => {
  await using provider = await startProvider();
  await provider.addKey('RS256', { kid: 'k' });
  const foreignKey = await generateKeyPair('RS256');
  const tokens = createTokensWith(provider);
  expect(
    await tokens.verify(await signExternal(foreignKey.privateKey, { alg: 'RS256', kid: 'k' })),
  ).toBeUndefined();
});

test("the provider's public key is not accepted as an HS256 secret", async () => {
  await using provider = await startProvider();
  const pair = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k' };
  provider.publish([
    jwk,
    { kty: 'oct', k: Buffer.from(DEVICE_SECRET).toString('base64url'), kid: 'oct', alg: 'HS256' },
  ]);
  const tokens = createTokensWith(provider);
  const claims = { iss: ISSUER, sub: '7', exp: nowSeconds() + HOUR };
  for (const secret of [await exportSPKI(pair.publicKey), JSON.stringify(jwk), jwk.n ?? '', DEVICE_SECRET]) {
    for (const kid of ['k', 'oct', undefined]) {
      expect(await tokens.verify(sign(claims, secret, { alg: 'HS256', kid }))).toBeUndefined();
    }
  }
  expect(await tokens.verify(new UnsecuredJWT(claims).encode())).toBeUndefined();
});

test('local tokens are verified without the provider', async () => {
  await using provider = await startProvider();
  provider.setStatus(500);
  const tokens = createTokensWith(provider);
  expect(await actorOf(tokens, (await tokens.issue(ann)).token)).toEqual(ann);
  expect(provider.reads).toBe(0);
});

test('while the key set is unavailable, external tokens are UNAVAILABLE and not invalid', async () => {
  await using provider = await startProvider();
  const key = await provider.addKey('RS256', { kid: 'k' });
  const token = await signExternal(key, { alg: 'RS256', kid: 'k' });
  const tokens = createTokensWith(provider);
  provider.setStatus(503);
  await expect(tokens.verify(token)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  provider.setStatus(200);
  expect(await tokens.verify(token)).toBeDefined();

  const tokensWithoutProvider = createTokens({
    secret: SECRET,
    jwks: { url: 'http://127.0.0.1:1/jwks', issuer: ISSUER },
  });
  await expect(tokensWithoutProvider.verify(token)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('without a provider every asymmetric token is rejected', async () => {
  const { privateKey } = await generateKeyPair('RS256');
  const token = await signExternal(privateKey, { alg: 'RS256' });
  expect(await createTokens({ secret: SECRET }).verify(token)).toBeUndefined();
});
