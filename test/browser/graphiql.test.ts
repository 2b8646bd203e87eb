import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, openBrowser, openTab } from './browser.ts';

/** Runs an operation of the editor by its name. */
async function runOperation(page: Page, operation: string): Promise<void> {
  await page.locator('.graphiql-execute-button').click();
  await page.getByRole('menuitem', { name: operation, exact: true }).click();
}

/** Waits until the response contains a text. */
const waitForResponse = (page: Page, text: string) =>
  page.locator('.result-window', { hasText: text }).waitFor();

const LOG_BOB_IN = 'mutation { login(email: "bob@example.com", password: "parley") { token } }';
const SEND_MESSAGE =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { id } } }';

/** Opens a client of Bob, who sends what the page receives. */
async function openBob(gateway: TestGateway) {
  const { login } = await gateway.graphql.run<{ login: { token: string } }>(LOG_BOB_IN);
  return createGraphqlClient(gateway.url, login.token);
}

describe.skipIf(isMissing('chromium'))('GraphiQL', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  let gateway: TestGateway;

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([openBrowser(), startTestApp({ demo: true })]);
  });
  afterAll(async () => {
    await browser.close();
    await gateway[Symbol.asyncDispose]();
  });

  test('runs the default queries step by step, including a subscription over WebSocket, and requests no other host', async () => {
    await using tab = await openTab(browser, `${gateway.url}/graphql`);
    const { page } = tab;
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await runOperation(page, 'LogIn');
    await waitForResponse(page, 'eyJ');
    // The view wraps long lines.
    const response = (await page.locator('.result-window').innerText()).replaceAll(/\s/g, '');
    const token = /"token":"([^"]+)"/.exec(response)?.[1] ?? 'no token';

    await page.getByRole('button', { name: 'Headers' }).click();
    await page.locator('.graphiql-editor-tool .monaco-editor').last().click();
    await page.keyboard.insertText(`{ "Authorization": "Bearer ${token}" }`);
    await runOperation(page, 'FirstScreen');
    await waitForResponse(page, 'Demo circle');

    await runOperation(page, 'Live');
    await waitForResponse(page, 'StreamLive');
    await using bob = await openBob(gateway);
    await bob.run(SEND_MESSAGE, { text: 'received in GraphiQL' });
    await waitForResponse(page, 'received in GraphiQL');
    expect(sockets).toContain(`${gateway.url.replace('http', 'ws')}/graphql`);

    const second = await page.context().newPage();
    await second.goto(`${gateway.url}/graphql`);
    const steps = second.locator('.graphiql-query-editor', { hasText: 'FirstScreen: your circles' });
    await steps.waitFor();
    await page.reload();
    await page.locator('.graphiql-query-editor', { hasText: 'FirstScreen: your circles' }).waitFor();
    expect(tab.problems).toEqual([]);
  });

  test('a click logs in, and a subscription shows its events as a list', async () => {
    await using tab = await openTab(browser, `${gateway.url}/graphql`);
    const { page } = tab;
    // The view renders only the lines that are visible.
    await page.setViewportSize({ width: 1440, height: 1600 });
    await page.getByRole('button', { name: 'ann@example.com' }).click();
    await page.getByText('Operations run as ann@example.com.').waitFor();
    await page.locator('.graphiql-editor-tool', { hasText: '"Conversation:1"' }).waitFor();
    await runOperation(page, 'Live');
    await waitForResponse(page, 'StreamLive');
    await using bob = await openBob(gateway);
    for (const text of ['the first', 'the second']) {
      await bob.run(SEND_MESSAGE, { text });
      await waitForResponse(page, text);
    }
    const shown = (await page.locator('.result-window').innerText()).replaceAll(/\s/g, '');
    const order = ['thesecond', 'thefirst', 'StreamLive'].map((text) => shown.indexOf(text));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);

    await page.locator('.graphiql-execute-button').click();
    await page.getByRole('button', { name: 'bob@example.com' }).click();
    await page.getByText('Operations run as bob@example.com.').waitFor();
    await runOperation(page, 'FirstScreen');
    await waitForResponse(page, 'Demo circle');
    await page.getByRole('button', { name: 'Show History' }).click();
    // One entry for a document, by the operation that was run first.
    await page.locator('.graphiql-history', { hasText: 'Live' }).waitFor();
    expect(tab.problems).toEqual([]);
  });

  test('on a phone, the editor and the response are one below the other', async () => {
    await using tab = await openTab(browser, `${gateway.url}/graphql`);
    const { page } = tab;
    await page.setViewportSize({ width: 390, height: 844 });
    await page.getByRole('button', { name: 'ann@example.com' }).click();
    await page.getByText('Operations run as ann@example.com.').waitFor();
    await runOperation(page, 'FirstScreen');
    await waitForResponse(page, 'Demo circle');
    for (const part of ['.graphiql-query-editor', '.graphiql-execute-button', '.result-window']) {
      const box = await page.locator(part).boundingBox();
      expect(box).not.toBeNull();
      expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(390);
    }
    const { width = 0 } = (await page.locator('.result-window').boundingBox()) ?? {};
    expect(width).toBeGreaterThan(300);
  });
});
