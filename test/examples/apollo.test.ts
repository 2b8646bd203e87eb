import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../harness/server.ts';
import type { Server } from '../harness/server.ts';
import { runExample } from './program.ts';
import { signToken, waitUntilRejected } from './tokens.ts';
import { logIn, logOut, sendMessage } from '../harness/demo-server.ts';

const AUTH_SECRET = 'a secret for the tokens of these tests';

describe.for(['apollo-client-3', 'apollo-client-4'])('%s', (folder) => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ AUTH_SECRET });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test(
    'reads a conversation page by page, uploads a file, and logs in again when its token expires',
    { timeout: 60_000 },
    async () => {
      const token = await logIn(server.url);
      const texts = Array.from({ length: 45 }, (_, index) => `m${index}`);
      for (const text of texts) await sendMessage(server.url, token, text);

      await using historyProgram = runExample(`${folder}/history.ts`, server.url);
      expect(await historyProgram.exitCode, historyProgram.errors()).toBe(0);
      expect(historyProgram.lines.slice(1)).toEqual(texts.map((text) => `Message ${text}`));
      expect(historyProgram.errors()).toBe('');

      const PARLEY_TOKEN = await signToken(AUTH_SECRET, token, '5s');
      await using listener = runExample(`${folder}/listen.ts`, server.url, { PARLEY_TOKEN });
      await listener.waitUntil((lines) => lines.includes('StreamLive'));
      await waitUntilRejected(server.url, PARLEY_TOKEN);
      await sendMessage(server.url, token, 'after the token');
      await listener.waitUntil((lines) => lines.includes('MessageSent after the token'));

      await using upload = runExample(`${folder}/upload.ts`, server.url, { PARLEY_TOKEN });
      expect(await upload.exitCode, upload.errors()).toBe(0);
      expect(upload.lines).toEqual(['Uploaded hello.txt, 24 bytes']);
      for (const program of [listener, upload]) expect(program.errors()).toBe('');
    },
  );

  test('stays logged out after a logout', { timeout: 60_000 }, async () => {
    const PARLEY_TOKEN = await logIn(server.url);
    await using listener = runExample(`${folder}/listen.ts`, server.url, { PARLEY_TOKEN });
    await listener.waitUntil((lines) => lines.includes('StreamLive'));
    await logOut(server.url, PARLEY_TOKEN);
    // The connection is closed after the end of the stream, and nothing else keeps the program running.
    expect(await listener.exitCode).toBe(0);
    expect(listener.errors()).toMatch(/^Stream ended: .*LOGGED_OUT/);
  });
});
