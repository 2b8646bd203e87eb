import { describe, expect, test } from 'vitest';
import { expectEachOnce, expectWhatComesNext, OUTAGES_TIMEOUT_MS } from './outages.ts';
import { runExample } from './program.ts';
import { startServer } from './server.ts';
import { signToken, untilRefused } from './tokens.ts';
import { logIn, logOut, sendMessage } from './writer.ts';

describe.for(['apollo-client-3', 'apollo-client-4'])('%s', (folder) => {
  test(
    'gets each event once, over stops and kills of the server, and its cache follows',
    { timeout: OUTAGES_TIMEOUT_MS },
    async () => {
      const lines = await expectEachOnce(`${folder}/listen.ts`);
      const texts = lines.filter((line) => line.startsWith('MessageSent '));
      // One message is there from the beginning, and the newest may be shown just after its event is printed.
      const shown = lines.findLast((line) => line.includes(' messages, the newest: '));
      expect([texts.length, texts.length + 1]).toContain(Number(shown?.split(' ')[0]));
      expect(lines.filter((line) => line === 'StreamLive')).toHaveLength(1);
    },
  );

  test(
    'gets what comes next with stock settings, after SIGTERM and after kill -9',
    { timeout: OUTAGES_TIMEOUT_MS },
    async () => {
      await expectWhatComesNext(`${folder}/stock.ts`);
    },
  );

  test(
    'reads a conversation page by page, uploads a file, and logs in again when its token is over',
    { timeout: 60_000 },
    async () => {
      const secret = 'for the tokens of these tests alone';
      await using server = await startServer({ AUTH_SECRET: secret });
      const token = await logIn(server.url);
      const texts = Array.from({ length: 45 }, (_, index) => `m${index}`);
      for (const text of texts) await sendMessage(server.url, token, text);

      await using history = runExample(`${folder}/history.ts`, server.url);
      expect(await history.ended, history.errors()).toBe(0);
      expect(history.lines.slice(1)).toEqual(texts.map((text) => `Message ${text}`));
      expect(history.errors()).toBe('');

      const PARLEY_TOKEN = await signToken(secret, token, '5s');
      await using listening = runExample(`${folder}/listen.ts`, server.url, { PARLEY_TOKEN });
      await listening.until((lines) => lines.includes('StreamLive'));
      await untilRefused(server.url, PARLEY_TOKEN);
      await sendMessage(server.url, token, 'after the token');
      await listening.until((lines) => lines.includes('MessageSent after the token'));

      await using upload = runExample(`${folder}/upload.ts`, server.url, { PARLEY_TOKEN });
      expect(await upload.ended, upload.errors()).toBe(0);
      expect(upload.lines).toEqual(['Uploaded hello.txt, 24 bytes']);
      for (const program of [listening, upload]) expect(program.errors()).toBe('');
    },
  );

  test('stays logged out after a logout', { timeout: 60_000 }, async () => {
    await using server = await startServer();
    const PARLEY_TOKEN = await logIn(server.url);
    await using listening = runExample(`${folder}/listen.ts`, server.url, { PARLEY_TOKEN });
    await listening.until((lines) => lines.includes('StreamLive'));
    await logOut(server.url, PARLEY_TOKEN);
    // The connection is closed after the end of the stream, and nothing else keeps the program running.
    expect(await listening.ended).toBe(0);
    expect(listening.errors()).toMatch(/^The stream ended: .*LOGGED_OUT/);
  });
});
