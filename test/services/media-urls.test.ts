import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Session } from '../../src/actor.ts';
import type { MediaId, UserId } from '../../src/ids.ts';
import { createMediaUrls } from '../../src/services/media-urls.ts';

const ID = 60 as MediaId;
const SECRETS = ['a secret of the tests, for accounts'];
const TTL_SECONDS = 3_600;
const TTL_MS = TTL_SECONDS * 1000;
const START = 1_000 * TTL_MS;
const SESSION: Session = {
  actor: { kind: 'user', id: 7 as UserId },
  tokenId: 'a-token',
  issuedAt: START - 1_000,
  expiresAt: START + 100 * TTL_MS,
  family: { id: 'a-login', endsAt: START + 1_000 * TTL_MS },
  generation: 3,
};

function openUrls(secrets: readonly string[] = SECRETS) {
  const clock = { now: START };
  const urls = createMediaUrls({ secrets, ttlSeconds: TTL_SECONDS, now: () => clock.now });
  const sign = (session = SESSION) => urls.sign(session, ID);
  return { clock, urls, sign };
}

const signatureOf = (url: string): string =>
  new URL(url, 'http://localhost').searchParams.get('signature') ?? '';

test('a URL names its file and its session', () => {
  const { urls, sign } = openUrls();
  const url = sign();
  expect(url).toMatch(/^\/media\/60\?signature=[\w-]+\.[\w-]{43}$/);
  const { actor, tokenId, issuedAt, generation } = SESSION;
  expect(urls.verify(ID, signatureOf(url))).toEqual({
    actor,
    tokenId,
    issuedAt,
    generation,
    family: { id: 'a-login' },
    isExternal: false,
  });
  expect(urls.verify(61 as MediaId, signatureOf(url))).toBeUndefined();
});

test('a URL stays the same for a quarter of its lifetime, which it then has at least three quarters of', () => {
  const { clock, urls, sign } = openUrls();
  const first = sign();
  clock.now += TTL_MS / 4 - 1;
  expect(sign()).toBe(first);
  clock.now += 1;
  const second = sign();
  expect(second).not.toBe(first);
  clock.now = START + TTL_MS - 1;
  expect(urls.verify(ID, signatureOf(first))).toBeDefined();
  clock.now += 1;
  expect(urls.verify(ID, signatureOf(first))).toBeUndefined();
  expect(urls.verify(ID, signatureOf(second))).toBeDefined();
});

test('a URL expires with the token of its session', () => {
  const { clock, urls, sign } = openUrls();
  const signature = signatureOf(sign({ ...SESSION, expiresAt: START + 1_000 }));
  clock.now += 999;
  expect(urls.verify(ID, signature)).toBeDefined();
  clock.now += 1;
  expect(urls.verify(ID, signature)).toBeUndefined();
});

test('URLs of a former secret are valid while it is listed', () => {
  const signature = signatureOf(openUrls().sign());
  expect(openUrls(['a new secret of the tests', ...SECRETS]).urls.verify(ID, signature)).toBeDefined();
  expect(openUrls(['a new secret of the tests']).urls.verify(ID, signature)).toBeUndefined();
});

test('a signature with any other byte is invalid', () => {
  const { urls, sign } = openUrls();
  const signature = signatureOf(sign());
  fc.assert(
    fc.property(fc.nat(signature.length - 1), fc.stringMatching(/^[\w-]$/), (index, character) => {
      fc.pre(signature[index] !== character);
      const changed = signature.slice(0, index) + character + signature.slice(index + 1);
      // The last character of a MAC has two bits that are not part of it.
      fc.pre(index < signature.length - 1);
      expect(urls.verify(ID, changed)).toBeUndefined();
    }),
  );
  for (const other of ['', '.', 'a.b', signature.split('.')[0] ?? ''])
    expect(urls.verify(ID, other), other).toBeUndefined();
});
