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
  'mutation { sendMessage(conversationId: "Conversation:1", text: "received in GraphiQL") { message { id } } }';

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
    const { login } = await gateway.graphql.run<{ login: { token: string } }>(LOG_BOB_IN);
    await using bob = createGraphqlClient(gateway.url, login.token);
    await bob.run(SEND_MESSAGE);
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
});
