import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { PHONE } from './browser.ts';
import { SIDES, typeMessage, waitForText, waitUntilOffline, waitUntilOnline } from './demo-page.ts';
import { describeDemo } from './demo-suite.ts';

const UNREAD =
  'query ($id: ID!) { conversation(id: $id) { unreadCount messages(last: 1) { nodes { id } } } }';
const MARK = `mutation ($id: ID!, $messageId: ID!) {
  markRead(conversationId: $id, messageId: $messageId) { unreadCount }
}`;

const showView = (page: Page, view: string) => page.locator(`.views [data-view=${view}]`).click();
const findBadge = (page: Page) => page.locator('.views [data-view=graphql] .unread');
const waitForBadge = (page: Page, count: number) => findBadge(page).getByText(String(count)).waitFor();

/** Connects another device of Ann. */
async function connectDevice(url: string) {
  const client = createGraphqlClient(url, await logIn(url));
  const read = async () =>
    (
      await client.run<{ conversation: { unreadCount: number; messages: { nodes: { id: string }[] } } }>(
        UNREAD,
        { id: CONVERSATION_ID },
      )
    ).conversation;
  return {
    countUnread: async () => (await read()).unreadCount,
    async markNewest() {
      const [newest] = (await read()).messages.nodes;
      await client.run(MARK, { id: CONVERSATION_ID, messageId: newest?.id });
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

describeDemo('unread messages on the page', [], (demo) => {
  test('are counted while the GraphQL side is not shown, and read when it is', async () => {
    await using device = await connectDevice(demo.gateway.url);
    await using tab = await demo.open(PHONE);
    const { page } = tab;
    for (const count of [1, 2]) {
      await typeMessage(page, 'legacy', `unread ${count}`);
      await waitForBadge(page, count);
    }
    expect(await device.countUnread()).toBe(2);
    await page.reload();
    await waitForBadge(page, 2);
    await showView(page, 'graphql');
    await waitForText(page, 'graphql', 'unread 2');
    await findBadge(page).waitFor({ state: 'hidden' });
    await expect.poll(device.countUnread).toBe(0);
    // What another side than this one writes, and this one itself, is read as it is seen.
    await typeMessage(page, 'graphql', 'my own');
    await waitForText(page, 'graphql', 'my own');
    expect(await findBadge(page).isVisible()).toBe(false);
    expect(tab.problems).toEqual([]);
  });

  test('are read when another device reads them', async () => {
    await using device = await connectDevice(demo.gateway.url);
    await using tab = await demo.open(PHONE);
    const { page } = tab;
    await typeMessage(page, 'legacy', 'read elsewhere');
    await waitForBadge(page, 1);
    await device.markNewest();
    await findBadge(page).waitFor({ state: 'hidden' });
    await typeMessage(page, 'legacy', 'read nowhere');
    await waitForBadge(page, 1);
  });

  test('are read where both sides are shown, unless the tab is hidden or the log is scrolled up', async () => {
    await using device = await connectDevice(demo.gateway.url);
    await using tab = await demo.open();
    const { page } = tab;
    await expect.poll(device.countUnread).toBe(0);
    const badge = page.locator('#graphql .room .unread');

    await page.evaluate(
      "Object.defineProperty(document, 'visibilityState', { value: 'hidden', writable: true })",
    );
    await typeMessage(page, 'legacy', 'in a hidden tab');
    await badge.getByText('1').waitFor();
    expect(await device.countUnread()).toBe(1);
    await page.evaluate(
      "document.visibilityState = 'visible', document.dispatchEvent(new Event('visibilitychange'))",
    );
    await badge.waitFor({ state: 'hidden' });

    for (let index = 0; index < 20; index += 1) await typeMessage(page, 'legacy', `line ${index}`);
    for (const side of SIDES) await waitForText(page, side, 'line 19');
    await expect.poll(device.countUnread).toBe(0);
    await page.locator('#graphql .log').evaluate((log) => log.scrollTo(0, 0));
    await expect.poll(() => page.locator('#graphql .log').evaluate((log) => log.scrollTop)).toBe(0);
    await typeMessage(page, 'legacy', 'below');
    await badge.getByText('1').waitFor();
    await page.locator('#graphql .log').evaluate((log) => log.scrollTo(0, log.scrollHeight));
    await badge.waitFor({ state: 'hidden' });
    await expect.poll(device.countUnread).toBe(0);
  });

  test.for(['ReadState', 'MarkRead'])('are read when the first request of %s fails', async (operation) => {
    await using device = await connectDevice(demo.gateway.url);
    await using tab = await demo.open();
    const { page } = tab;
    await expect.poll(device.countUnread).toBe(0);
    let failedCount = 0;
    await page.route('**/graphql', async (route) => {
      const isFailed = failedCount === 0 && route.request().postData()?.includes(`${operation}(`) === true;
      if (!isFailed) return route.continue();
      failedCount += 1;
      await route.abort('connectionreset');
    });
    if (operation === 'ReadState') await page.reload();
    await typeMessage(page, 'legacy', `beside a lost ${operation}`);
    await waitForText(page, 'graphql', `beside a lost ${operation}`);
    await expect.poll(device.countUnread).toBe(0);
    expect(failedCount).toBe(1);
  });

  test('that arrived offline are read when they are shown', async () => {
    await using device = await connectDevice(demo.gateway.url);
    await using tab = await demo.open();
    const { page } = tab;
    await page.locator('#graphql .toggle').click();
    await waitUntilOffline(page, 'graphql');
    await typeMessage(page, 'legacy', 'while Ann is offline');
    await expect.poll(device.countUnread).toBe(1);
    await page.locator('#graphql .toggle').click();
    await waitUntilOnline(page, 'graphql');
    await expect.poll(device.countUnread).toBe(0);
    expect(await page.locator('#graphql .room .unread').isVisible()).toBe(false);
  });
});
