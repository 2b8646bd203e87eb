import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { openBrowser } from '../browser/browser.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { CONVERSATION_ID, logIn, sendMessage } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { renewEpoch } from '../harness/renew-epoch.ts';
import { startServer } from '../harness/server.ts';
import {
  openChat,
  openConversation,
  readMessages,
  readUnread,
  sendText,
  serveChat,
  waitForInvalidCursor,
} from './chat-in-browser.ts';

const WELCOME = 'Ann Welcome! A message from either client appears on both.';

/** Deletes the newest message of the conversation, as Ann. */
async function deleteNewest(url: string): Promise<void> {
  await using client = createGraphqlClient(url, await logIn(url));
  const { conversation } = await client.run<{ conversation: { messages: { nodes: { id: string }[] } } }>(
    'query ($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { id } } } }',
    { id: CONVERSATION_ID },
  );
  await client.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', {
    id: conversation.messages.nodes[0]?.id,
  });
}

/** Creates a conversation of Ann and Bob, as Ann. */
async function createTalk(url: string, name: string): Promise<void> {
  await using client = createGraphqlClient(url, await logIn(url));
  const { circles } = await client.run<{ circles: { nodes: { id: string }[] } }>(
    '{ circles { nodes { id } } }',
  );
  await client.run(
    'mutation ($id: ID!, $name: String!) { createConversation(circleId: $id, name: $name, emails: ["bob@example.com"]) { id } }',
    { id: circles.nodes[0]?.id, name },
  );
}

describe.skipIf(isMissing('chromium')).for(['chat-react-apollo', 'chat-react-urql'])('%s', (folder) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  test(
    'shows messages and unread counts, also after the gateway was killed',
    { timeout: 180_000 },
    async () => {
      await using server = await startServer();
      await using site = await serveChat(folder, server.url);
      const problems: string[] = [];
      const open = (email: string) => openChat(browser, site.url, email, problems);
      const bob = await open('bob@example.com');
      await expect.poll(() => readUnread(bob)).toBe('1');

      const ann = await open('ann@example.com');
      await openConversation(ann);
      await expect.poll(() => readMessages(ann)).toEqual([WELCOME]);
      await sendText(ann, 'hello');
      await expect.poll(() => readMessages(ann)).toEqual([WELCOME, 'Ann hello']);
      await expect.poll(() => readUnread(bob)).toBe('2');

      await sendText(ann, 'typo');
      await expect.poll(() => readUnread(bob)).toBe('3');
      await deleteNewest(server.url);
      await expect.poll(() => readUnread(bob)).toBe('2');
      await expect.poll(() => readMessages(ann)).toEqual([WELCOME, 'Ann hello']);

      // Another device of Bob’s shows what this one reads.
      const phone = await open('bob@example.com');
      await expect.poll(() => readUnread(phone)).toBe('2');
      await openConversation(bob);
      for (const page of [bob, phone]) await expect.poll(() => readUnread(page)).toBe('');

      expect(problems).toEqual([]);

      await server.stop('SIGKILL');
      await sendText(bob, 'while it is down');
      await server.start();
      await sendMessage(server.url, await logIn(server.url), 'afterwards');
      const all = [WELCOME, 'Ann hello', 'Bob while it is down', 'Ann afterwards'];
      for (const page of [ann, bob])
        await expect
          .poll(async () => (await readMessages(page)).toSorted(), { timeout: 45_000 })
          .toEqual(all.toSorted());
      await expect.poll(() => readUnread(bob)).toBe('');
    },
  );

  test(
    'shows an error of a mutation, and receives all streams after the cursors expired',
    { timeout: 180_000 },
    async () => {
      await using data = await createDataFolder();
      await using server = await startServer({ DATA_DIR: data.path });
      await using site = await serveChat(folder, server.url);
      const bob = await openChat(browser, site.url, 'bob@example.com', []);
      await bob.route('**/graphql', (route) =>
        route.request().postData()?.includes('MarkRead') === true
          ? route.fulfill({ json: { errors: [{ message: 'The mark failed.' }] } })
          : route.continue(),
      );
      await openConversation(bob);
      await bob.getByRole('alert').getByText('The mark failed.').waitFor();
      await bob.unroute('**/graphql');
      await expect.poll(() => readMessages(bob)).toEqual([WELCOME]);

      // The inbox has a cursor once it shows this.
      await createTalk(server.url, 'Before');
      await bob.getByRole('button', { name: 'Before' }).waitFor();

      await server.stop('SIGTERM');
      renewEpoch(data.path);
      const expired = waitForInvalidCursor(bob, 'inboxEvents');
      await server.start();
      await sendMessage(server.url, await logIn(server.url), 'afterwards');
      await expect.poll(() => readMessages(bob), { timeout: 45_000 }).toContain('Ann afterwards');
      await expired;
      // The query that replaces an expired cursor may find the first one.
      for (const name of ['Afterwards', 'Later']) {
        await createTalk(server.url, name);
        await bob.getByRole('button', { name }).waitFor();
      }
    },
  );
});
