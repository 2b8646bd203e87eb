import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { openBrowser } from '../browser/browser.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { CONVERSATION_ID, logIn, sendMessage } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { indexes } from '../harness/numbers.ts';
import { renewEpoch } from '../harness/renew-epoch.ts';
import { startServer } from '../harness/server.ts';
import { copyExample } from './copied-example.ts';
import { runProgram } from './program.ts';
import type { Program } from './program.ts';

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

/** Sends messages as Ann. */
async function sendMessages(url: string, texts: readonly string[]): Promise<void> {
  await using client = createGraphqlClient(url, await logIn(url));
  const fields = texts.map(
    (text, index) =>
      `m${index}: sendMessage(conversationId: "${CONVERSATION_ID}", text: "${text}") { message { id } }`,
  );
  await client.run(`mutation { ${fields.join(' ')} }`);
}

/** Starts the chat as Bob, and opens the demo conversation. */
async function openChat(cwd: string, url: string): Promise<Program> {
  await using stack = new AsyncDisposableStack();
  const chat = stack.use(
    runProgram(process.execPath, ['chat.ts', 'bob@example.com'], { cwd, env: { PARLEY_URL: url } }),
  );
  await chat.waitUntil((lines) => lines.includes('1. Demo conversation, 1 unread'));
  chat.write('1');
  await chat.waitUntil((lines) => lines.includes('Connected.'));
  stack.move();
  return chat;
}

test(
  'chat-node shows many messages without a delay, and marks them together',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    await using example = await copyExample('chat-node');
    await using chat = await openChat(example.path, server.url);
    await using bob = createGraphqlClient(server.url, await logIn(server.url, 'bob@example.com'));
    await using inbox = bob.subscribe(
      'subscription { inboxEvents { __typename cursor ... on ReadStateChanged { conversation { unreadCount } } } }',
    );
    await inbox.nextOf('StreamLive');
    const batches = indexes(5).map((batch) => indexes(20).map((index) => `n${batch * 20 + index}`));
    for (const texts of batches) await sendMessages(server.url, texts);
    await chat.waitUntil((lines) => batches.flat().every((text) => lines.includes(`Ann: ${text}`)));
    let marks = 0;
    for (let unread: unknown; unread !== 0; marks += 1) {
      const event = (await inbox.nextOf('ReadStateChanged')) as { conversation: { unreadCount: number } };
      unread = event.conversation.unreadCount;
    }
    expect(marks).toBeLessThan(50);
    // A message that is refused is shown, and ends nothing.
    chat.write('x'.repeat(100_001));
    chat.write('afterwards');
    await chat.waitUntil((lines) => lines.includes('Bob: afterwards'));
    expect(chat.errors()).toMatch(/characters/);
  },
);

test('chat-node shows what was sent while its cursor expired', { timeout: 180_000 }, async () => {
  await using folder = await createDataFolder();
  await using server = await startServer({ DATA_DIR: folder.path });
  await using example = await copyExample('chat-node');
  await using chat = await openChat(example.path, server.url);
  await server.stop('SIGTERM');
  {
    await using elsewhere = await startServer({ DATA_DIR: folder.path });
    await sendMessages(elsewhere.url, ['missed']);
    await elsewhere.stop('SIGTERM');
  }
  renewEpoch(folder.path);
  await server.start();
  await sendMessages(server.url, ['afterwards']);
  const sent = [WELCOME, 'Ann: missed', 'Ann: afterwards'];
  await chat.waitUntil((lines) => sent.every((line) => lines.includes(line)));
  expect(chat.lines.filter((line) => line.startsWith('Ann: '))).toEqual(sent);
});

test.skipIf(isMissing('chromium'))(
  'chat-socket.io-1 shows what is sent between its login and its first join',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    await using example = await copyExample('chat-socket.io-1');
    await using stack = new AsyncDisposableStack();
    const browser = stack.adopt(await openBrowser(), (opened) => opened.close());
    const page = await browser.newPage();
    let isSent = false;
    await page.route('**/graphql', async (route) => {
      const response = await route.fetch();
      if (!isSent) {
        isSent = true;
        await sendMessages(server.url, ['between']);
      }
      await route.fulfill({ response });
    });
    const address = pathToFileURL(join(example.path, 'index.html'));
    address.search = String(new URLSearchParams({ url: server.url, email: 'bob@example.com' }));
    await page.goto(address.href);
    await page.getByText('Connected').waitFor();
    await sendMessages(server.url, ['afterwards']);
    await expect
      .poll(() => page.getByRole('listitem').allTextContents(), { timeout: 45_000 })
      .toEqual([WELCOME, 'Ann: between', 'Ann: afterwards']);
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
    await expectTexts(WELCOME, 'Ann: hello');

    await server.stop('SIGKILL');
    for (const page of pages) await page.getByText('Connection lost').waitFor();
    await server.start();
    await sendMessage(server.url, await logIn(server.url, 'bob@example.com'), 'while it connects again');
    await expectTexts(WELCOME, 'Ann: hello', 'Bob: while it connects again');
  },
);
