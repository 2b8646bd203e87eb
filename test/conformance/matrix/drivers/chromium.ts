import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../../../browser/browser.ts';
import { browserBundle } from '../../../clients/load.ts';
import type { ClientVersion } from '../../../clients/load.ts';
import type { ClientKind, Report } from '../client.ts';
import { REASONS } from './node.ts';
import { createRemote } from './remote.ts';
import type { Command, Remote, Startable } from './remote.ts';

const PAGE =
  '<!doctype html><meta charset="utf-8"><script src="io.js"></script><script src="page.js"></script>';

/** A generation's script in pages of Chromium, whose origin is not the gateway's. */
export function pageClients(version: ClientVersion): ClientKind & Startable {
  const stack = new AsyncDisposableStack();
  let remotes: readonly Remote[] = [];
  return {
    name: `socket.io-client ${version} in Chromium`,
    reasons: REASONS,
    async ready() {
      const url = await serve(stack, version);
      const browser = await openBrowser();
      stack.defer(() => browser.close());
      // Each transport has a page, as a page may have only six connections at a time.
      remotes = await Promise.all(TRANSPORTS.map(() => openPage(browser, url)));
    },
    open(options, report) {
      const remote = remotes[TRANSPORTS.indexOf(options.transport)];
      if (remote === undefined) throw new Error('Chromium is not ready.');
      return remote.open(options, report);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const TRANSPORTS = ['polling', 'websocket', 'upgrade'] as const;

async function serve(stack: AsyncDisposableStack, version: ClientVersion): Promise<string> {
  const files: Readonly<Record<string, Promise<string>>> = {
    '/io.js': readFile(browserBundle(version), 'utf8'),
    '/page.js': readFile(new URL('page.js', import.meta.url), 'utf8'),
  };
  const server = createServer((request, response) => {
    const file = files[request.url ?? ''];
    response.setHeader('content-type', file === undefined ? 'text/html' : 'text/javascript');
    void (file ?? Promise.resolve(PAGE)).then((text) => response.end(text));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function openPage(browser: Browser, url: string): Promise<Remote> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const remote = createRemote((command) => void send(page, command));
  await page.exposeFunction('report', ({ client, report }: { client: number; report: Report }) =>
    remote.hear(client, report),
  );
  await page.goto(url);
  return remote;
}

/** Commands of a page that is being closed go nowhere. */
async function send(page: Page, command: Command): Promise<void> {
  try {
    await page.evaluate((told) => Reflect.get(globalThis, 'command')(told), command);
  } catch (error) {
    if (!page.isClosed()) throw error;
  }
}
