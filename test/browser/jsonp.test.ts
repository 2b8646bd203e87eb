import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';

const CLIENT = new URL('../../src/page/vendor/socket.io-1.3.6.js', import.meta.url);

/** Serves a page of another origin that sends and receives over JSONP, and shows the reply as its title. */
async function startForeignPage(gatewayUrl: string) {
  const script = `
    var options = { forceJSONP: true, transports: ['polling'], upgrade: false };
    var socket = io(${JSON.stringify(gatewayUrl)}, options);
    socket.on('connect', function () { socket.emit('authenticate', { token: 'wrong' }); });
    socket.on('error', function (reply) { document.title = 'reply: ' + reply; });
  `;
  const client = await readFile(CLIENT, 'utf8');
  const server = createServer((request, response) => {
    if (request.url !== '/') return void response.writeHead(404).end();
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><body><script>${client}</script><script>${script}</script>`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    [Symbol.dispose]: () => void server.close(),
  };
}

describe.skipIf(isMissing('chromium'))('JSONP', BROWSER_TIMEOUT, () => {
  test('a client of another origin sends and receives, whatever the security headers', async () => {
    await using gateway = await startTestApp();
    await using browser = await openBrowser();
    using foreign = await startForeignPage(gateway.url);
    const page = await browser.newPage();
    const scripts: string[] = [];
    page.on('request', (request) => {
      if (request.resourceType() === 'script') scripts.push(request.url());
    });
    // Pending polls are scripts, which delay the `load` event.
    await page.goto(foreign.url, { waitUntil: 'commit' });
    await page.waitForFunction(() => document.title.startsWith('reply: '));
    expect(await page.title()).toBe('reply: User not found');
    expect(scripts.length).toBeGreaterThan(1);
    expect(scripts[0]).toContain(`${gateway.url}/socket.io/`);
  });
});
