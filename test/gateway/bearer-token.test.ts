import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { findToken, findTokenInRequest } from '../../src/gateway/bearer-token.ts';

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln';

test.each([
  ['graphql-ws and this gateway', { authorization: `Bearer ${JWT}` }],
  ['graphql-ws', { token: JWT }],
  ['Apollo', { authToken: JWT }],
  ['Hasura', { headers: { Authorization: `Bearer ${JWT}` } }],
  ['graphql-yoga', { extensions: { headers: { authorization: JWT } } }],
  ['an HTTP client with headers of its own', { 'X-Access-Token': JWT }],
  ['an HTTP client with headers of its own', { 'x-auth-token': `Bearer ${JWT}` }],
  ['OAuth 2', { access_token: JWT }],
  ['a name in any case', { AUTHORIZATION: `bearer ${JWT}` }],
  ['a scheme in any case', { Authorization: `BEARER   ${JWT}` }],
  ['a doubled scheme', { Authorization: `Bearer Bearer ${JWT}` }],
  ['django-graphql-jwt', { Authorization: `JWT ${JWT}` }],
  ['Django REST', { Authorization: `Token ${JWT}` }],
  ['a colon after the scheme', { Authorization: `Bearer: ${JWT}` }],
  ['quotes of JSON', { Authorization: `Bearer "${JWT}"` }],
  ['quotes around all', { token: `"Bearer ${JWT}"` }],
  ['a list with one value', { token: [JWT] }],
  ['a duplicated value', { token: [JWT, JWT] }],
  ['an object where text is expected', { authorization: { token: JWT } }],
  ['an unknown name', { userCredential: `Bearer ${JWT}` }],
  ['an unknown name, nested', { context: { login: { value: JWT } } }],
  ['a token beside another scheme', { authorization: 'Basic YW5uOnB3', token: JWT }],
  ['a token beside blank values', { token: null, authorization: 'Bearer undefined', authToken: JWT }],
])('a token is found where %s sends it: %o', (_client, values) => {
  expect(findToken(values)).toEqual({ token: JWT });
});

test('authorization has precedence over other names, and the first object over the second', () => {
  expect(findToken({ token: 'b', authorization: 'a' })).toEqual({ token: 'a' });
  expect(findToken({ authToken: 'a' }, { authorization: 'b' })).toEqual({ token: 'a' });
  expect(findToken({ other: JWT, token: 'a' })).toEqual({ token: 'a' });
});

test.each([
  undefined,
  null,
  'text',
  {},
  { token: null },
  { token: '' },
  { authorization: 'Bearer ' },
  { authorization: 'Bearer' },
  { headers: {} },
  { room: 'lobby', ids: [1, 2], tokenless: 'x' },
  { recaptcha: { token: 'x' }, push: { device: { accessToken: 'x' } } },
])('no token is found in %o', (values) => {
  expect(findToken(values)).toBeUndefined();
});

test.each([
  ['Bearer undefined', true],
  ['Bearer null', true],
  ['null', true],
  ['"undefined"', true],
  ['Basic YW5uOnB3', false],
  ['Bearer [object Object]', false],
  [`Bearer ${JWT}, Bearer ${JWT}x`, false],
  [7, false],
  [true, false],
  [{ scheme: 'Bearer' }, false],
  [['a', 'b'], false],
  ['x'.repeat(40_000), false],
])('an authorization of %o is not a token; isBlank is %o', (authorization, isBlank) => {
  expect(findToken({ authorization })).toEqual({ problem: expect.any(String), isBlank });
});

test('a long value that begins like a token is searched in linear time', () => {
  for (const part of ['eyJ.', 'eyJa.eyJa.', '-eyJ', 'bearer ', '"', 'eyJ_']) {
    const values = Array.from({ length: 100 }, () => part.repeat(32_000 / part.length));
    expect(findToken({ values, token: part.repeat(32_000 / part.length) })?.token, part).not.toBe(JWT);
  }
});

test('the fragment of a URL is no part of a token, and holds none', () => {
  const requestOf = (url: string): IncomingMessage =>
    Object.assign(new IncomingMessage(new Socket()), { url });
  expect(findTokenInRequest(requestOf(`/graphql?token=${JWT}#top`))).toEqual({ token: JWT });
  expect(findTokenInRequest(requestOf(`/graphql#/page?token=${JWT}`))).toBeUndefined();
});
