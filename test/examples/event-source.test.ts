import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser, openTab } from '../browser/browser.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { prepareServer, startServer } from '../harness/server.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';
import { runExample } from './program.ts';

const CONVERSATION_EVENTS = `subscription {
  conversationEvents(conversationId: "Conversation:1") { __typename cursor ... on MessageSent { message { text } } }
}`;

describe.skipIf(isMissing('chromium'))('a browser', { timeout: 120_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

  test('receives each event once with its own EventSource, through SIGTERM and SIGKILL', async () => {
    await using server = await startServer();
    const token = await logIn(server.url);
    await using tab = await openTab(browser, `${server.url}/`);
    const { page } = tab;
    const parameters = new URLSearchParams({ query: CONVERSATION_EVENTS, token });
    await page.evaluate(`
      globalThis.seen = [];
      globalThis.source = new EventSource('/graphql?${parameters}');
      source.addEventListener('next', ({ data }) => {
        const { __typename, message } = JSON.parse(data).data.conversationEvents;
        seen.push(message?.text ?? __typename);
      });
    `);
    // `page.waitForFunction` needs `eval`, which the content security policy of the page forbids.
    const waitForText = async (text: string): Promise<void> => {
      await expect.poll(() => page.evaluate<string[]>('seen'), { timeout: 60_000 }).toContain(text);
    };
    await waitForText('StreamLive');
    const sent: string[] = [];
    const send = async (): Promise<void> => {
      const text = `m${sent.length}`;
      sent.push(text);
      await sendMessage(server.url, token, text);
    };
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await send();
      await waitForText(sent.at(-1) ?? '');
      await server.stop(signal);
      await server.start();
      await send();
    }
    await waitForText(sent.at(-1) ?? '');
    const received = await page.evaluate<string[]>('seen');
    expect(received.filter((text) => text !== 'StreamLive')).toEqual(sent);
  });
});

test('the example logs in once the gateway runs', { timeout: 120_000 }, async () => {
  await using server = await prepareServer();
  await using example = runExample('event-source/listen.ts', server.url);
  await expect.poll(() => example.errors()).toContain('fetch failed');
  await server.start();
  await example.waitUntil((lines) => lines.includes('StreamLive'));
});
