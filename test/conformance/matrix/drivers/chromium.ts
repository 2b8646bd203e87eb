import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../../../browser/browser.ts';
import { browserBundle } from '../../../clients/load.ts';
import type { ClientVersion } from '../../../clients/load.ts';
import type { ClientEvent, ClientKind } from '../client.ts';
import { DISCONNECT_REASONS } from './node.ts';
import { createRemoteClients } from './remote-clients.ts';
import type { Command, RemoteClients, Startable } from './remote-clients.ts';

const PAGE =
  '<!doctype html><meta charset="utf-8"><script src="io.js"></script><script src="page.js"></script>';

/** Creates the kind of client that is socket.io-client in pages of Chromium, whose origin is not the gateway's. */
export function createChromiumClientKind(version: ClientVersion): ClientKind & Startable {
  const stack = new AsyncDisposableStack();
  let pages: readonly RemoteClients[] = [];
  return {
    name: `socket.io-client ${version} in Chromium`,
    disconnectReasons: DISCONNECT_REASONS,
    async start() {
      const url = await servePage(stack, version);
      const browser = await openBrowser();
      stack.defer(() => browser.close());
      // One page per transport: Chromium allows a page only six connections to a server.
      pages = await Promise.all(TRANSPORTS.map(() => openPage(browser, url)));
    },
    open(options, onEvent) {
      const page = pages[TRANSPORTS.indexOf(options.transport)];
      if (page === undefined) throw new Error('Chromium is not started.');
      return page.open(options, onEvent);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const TRANSPORTS = ['polling', 'websocket', 'upgrade'] as const;

async function servePage(stack: AsyncDisposableStack, version: ClientVersion): Promise<string> {
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

async function openPage(browser: Browser, url: string): Promise<RemoteClients> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const clients = createRemoteClients((command) => void runCommand(page, command));
  await page.exposeFunction('reportEvent', ({ client, event }: { client: number; event: ClientEvent }) =>
    clients.receive(client, event),
  );
  await page.goto(url);
  return clients;
}

/** Runs a command in a page. Ignores errors of a closed page. */
async function runCommand(page: Page, command: Command): Promise<void> {
  try {
    await page.evaluate((argument) => Reflect.get(globalThis, 'runCommand')(argument), command);
  } catch (error) {
    if (!page.isClosed()) throw error;
  }
}
