import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Browser, Page } from 'playwright-core';
import { findFreePort, waitForPort } from '../harness/ports.ts';
import { copyExample } from './copied-example.ts';

/** The development server of a React example that was copied. */
export interface ChatSite extends AsyncDisposable {
  readonly url: string;
}

/** Copies an example and runs its `npm start`, with the address of a gateway. */
export async function serveChat(folder: string, gatewayUrl: string): Promise<ChatSite> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await copyExample(folder));
  const port = await findFreePort();
  const child = spawn('npm', ['start', '--', '--host', '127.0.0.1', '--port', String(port), '--strictPort'], {
    cwd: path,
    env: { ...process.env, VITE_PARLEY_URL: gatewayUrl },
    stdio: 'ignore',
    detached: true,
  });
  stack.defer(async () => {
    const exited = once(child, 'exit');
    process.kill(-(child.pid ?? NaN), 'SIGTERM');
    await exited;
  });
  await waitForPort(port);
  const owned = stack.move();
  return { url: `http://127.0.0.1:${port}/`, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Opens the chat in a browser context of its own, and logs in. Adds errors and warnings of the page to `problems`. */
export async function openChat(
  browser: Browser,
  url: string,
  email: string,
  problems: string[],
): Promise<Page> {
  const context = await browser.newContext();
  // The development server compiles the page when it is opened for the first time.
  context.setDefaultTimeout(90_000);
  const page = await context.newPage();
  page.on('pageerror', ({ message }) => problems.push(message));
  page.on('console', (message) => {
    if (
      ['error', 'warning'].includes(message.type()) &&
      !message.text().startsWith('Failed to load resource')
    )
      problems.push(message.text());
  });
  await page.goto(url);
  await page.getByLabel('E-mail').fill(email);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation').waitFor();
  return page;
}

/** Resolves once the cursor of a stream of this field was rejected, on a WebSocket that the page opens from now on. */
export function waitForInvalidCursor(page: Page, field: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  page.on('websocket', (socket) => {
    const ids = new Set<string>();
    socket.on('framesent', ({ payload }) => {
      const { id, type, payload: operation } = JSON.parse(String(payload)) as Frame;
      if (type === 'subscribe' && operation?.query?.includes(field) === true) ids.add(id);
    });
    socket.on('framereceived', ({ payload }) => {
      const { id } = JSON.parse(String(payload)) as Frame;
      if (ids.has(id) && String(payload).includes('CURSOR_INVALID')) resolve();
    });
  });
  return promise;
}

/** A frame of graphql-transport-ws. */
interface Frame {
  readonly id: string;
  readonly type: string;
  readonly payload?: { readonly query?: string };
}

export const openConversation = (page: Page): Promise<void> =>
  page.getByRole('button', { name: 'Demo conversation' }).click();

export async function sendText(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

export const readMessages = (page: Page): Promise<string[]> =>
  page.getByRole('list', { name: 'Messages' }).getByRole('listitem').allTextContents();

/** Returns the number of unread messages beside the conversation; an empty text without one. */
export const readUnread = async (page: Page): Promise<string> =>
  (await page.locator('nav .unread').allTextContents()).join();
