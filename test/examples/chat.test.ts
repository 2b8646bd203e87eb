import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser } from '../browser/browser.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startServer } from '../harness/server.ts';
import { copyExample } from './copied-example.ts';
import { runProgram } from './program.ts';

const WELCOME = 'Ann: Welcome! A message from either client appears on both.';

test(
  'chat-node sends, receives and marks messages, also after the gateway was killed',
  { timeout: 180_000 },
  async () => {
    await using server = await startServer();
    await using example = await copyExample('chat-node');
    const run = (email: string) =>
      runProgram(process.execPath, ['chat.ts', email], {
        cwd: example.path,
        env: { PARLEY_URL: server.url },
      });
    await using ann = run('ann@example.com');
    await using bob = run('bob@example.com');
    await ann.waitUntil((lines) => lines.includes('1. Demo conversation, 0 unread'));
    await bob.waitUntil((lines) => lines.includes('1. Demo conversation, 1 unread'));
    for (const program of [ann, bob]) {
      program.write('1');
      await program.waitUntil((lines) => lines.includes('Connected.'));
    }
    ann.write('hello');
    for (const program of [ann, bob]) await program.waitUntil((lines) => lines.includes('Ann: hello'));

    await server.stop('SIGKILL');
    await ann.waitUntil((lines) => lines.includes('Connection lost.'));
    ann.write('while it is down');
    await server.start();
    await sendMessage(server.url, await logIn(server.url, 'bob@example.com'), 'afterwards');
    const sent = [WELCOME, 'Ann: hello', 'Ann: while it is down', 'Bob: afterwards'];
    for (const program of [ann, bob]) {
      await program.waitUntil((lines) => sent.every((line) => lines.includes(line)));
      expect(program.lines.filter((line) => /^(Ann|Bob): /.test(line)).toSorted()).toEqual(sent.toSorted());
      program.end();
      expect(await program.exitCode, program.errors()).toBe(0);
    }
    await using again = run('bob@example.com');
    await again.waitUntil((lines) => lines.includes('1. Demo conversation, 0 unread'));
  },
);

test.skipIf(isMissing('chromium'))(
  'chat-socket.io-1 sends and receives from a file, also after the gateway was killed',
  { timeout: 180_000 },
  async () => {
    await using server = await startServer();
    await using example = await copyExample('chat-socket.io-1');
    await using stack = new AsyncDisposableStack();
    const browser = stack.adopt(await openBrowser(), (opened) => opened.close());
    const open = async (email: string) => {
      const page = await browser.newPage();
      const address = pathToFileURL(join(example.path, 'index.html'));
      address.search = String(new URLSearchParams({ url: server.url, email }));
      await page.goto(address.href);
      await page.getByText('Connected').waitFor();
      return page;
    };
    const pages = [await open('ann@example.com'), await open('bob@example.com')] as const;
    const [ann] = pages;
    const send = async (text: string) => {
      await ann.getByLabel('Message', { exact: true }).fill(text);
      await ann.getByRole('button', { name: 'Send' }).click();
    };
    const expectTexts = async (...texts: readonly string[]) => {
      for (const page of pages)
        await expect
          .poll(() => page.getByRole('listitem').allTextContents(), { timeout: 45_000 })
          .toEqual(texts);
    };
    await send('hello');
    await expectTexts('Ann: hello');

    await server.stop('SIGKILL');
    for (const page of pages) await page.getByText('Connection lost').waitFor();
    await server.start();
    await sendMessage(server.url, await logIn(server.url, 'bob@example.com'), 'while it connects again');
    await expectTexts('Ann: hello', 'Bob: while it connects again');
  },
);
