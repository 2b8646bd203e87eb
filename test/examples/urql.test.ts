import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer } from '../harness/server.ts';
import type { Server } from '../harness/server.ts';
import { generate } from './generate.ts';
import { runExample } from './program.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';

const AUTH_SECRET = 'a secret for the tokens of this test only';

let server: Server;
beforeAll(async () => {
  await generate('urql');
  server = await startServer({ AUTH_SECRET });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Signs a token of the demo account Ann. */
const signToken = (expiresAt: number): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('1')
    .setExpirationTime(expiresAt)
    .sign(new TextEncoder().encode(AUTH_SECRET));

const now = (): number => Math.floor(Date.now() / 1000);

test('urql reads a conversation page by page, each message once', { timeout: 60_000 }, async () => {
  const token = await logIn(server.url);
  const texts = Array.from({ length: 45 }, (_, index) => `m${index}`);
  for (const text of texts) await sendMessage(server.url, token, text);
  await using program = runExample('urql/pages.ts', server.url);
  expect(await program.exitCode).toBe(0);
  expect(program.lines.slice(1)).toEqual(texts);
  expect(program.errors()).toBe('');
});

test(
  'the authExchange of urql, as documented, recovers from an expired token',
  { timeout: 60_000 },
  async () => {
    const env = { PARLEY_TOKEN: await signToken(now() - 60) };
    await using program = runExample('urql/listen.ts', server.url, env);
    await program.waitUntil((lines) => lines.includes('StreamLive'));
    expect(program.errors()).toBe('');
  },
);

test(
  'urql with parley/client continues with a new token when its token expires, and misses nothing',
  { timeout: 60_000 },
  async () => {
    const token = await logIn(server.url);
    const expiresAt = now() + 6;
    const env = { PARLEY_TOKEN: await signToken(expiresAt) };
    await using program = runExample('urql/listen.ts', server.url, env);
    await program.waitUntil((lines) => lines.includes('StreamLive'));
    const sent: string[] = [];
    do {
      sent.push(`after ${sent.length}`);
      await sendMessage(server.url, token, sent.at(-1) ?? '');
    } while (now() <= expiresAt);
    await program.waitUntil((lines) => lines.includes(`MessageSent ${sent.at(-1)}`));
    expect(program.lines.filter((line) => line.startsWith('MessageSent'))).toEqual(
      sent.map((text) => `MessageSent ${text}`),
    );
    expect(program.errors()).toBe('');
  },
);
