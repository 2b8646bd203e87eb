import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { stripTypeScriptTypes } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Browser } from 'playwright-core';
import { BROWSER_TIMEOUT, openBrowser, openTab } from '../browser/browser.ts';
import { waitUntilOnline } from '../browser/demo-page.ts';
import { FAKE_CAMERA } from '../browser/demo-suite.ts';
import { startDemoApp } from '../harness/demo-app.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';

/** As an app without a bundler imports the packages: from the gateway, which serves them for its page. */
const pageFor = (gatewayUrl: string): string => `<!doctype html>
<script type="importmap">${JSON.stringify({
  imports: {
    'graphql-ws': `${gatewayUrl}/page/vendor/graphql-ws/client.js`,
    'parley/client': `${gatewayUrl}/page/vendor/parley-client.js`,
  },
})}</script>
<video id="local" autoplay muted></video><video id="remote" autoplay muted></video>
<script type="module">
  import { openCall } from '/call.js';
  window.openExample = async (options) => {
    const [local, remote] = document.querySelectorAll('video');
    window.hangUp = await openCall({ ...options, local, remote, iceServers: [] });
  };
</script>`;

/** Serves the example with its types removed. */
async function serveExample(gatewayUrl: string) {
  const script = stripTypeScriptTypes(readFileSync('examples/graphql-ws/call.ts', 'utf8'));
  const server = createServer(({ url }, response) => {
    const [type, body] = url === '/' ? ['text/html', pageFor(gatewayUrl)] : ['text/javascript', script];
    response.setHeader('content-type', `${type}; charset=utf-8`).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.dispose]: () => void server.close(),
  };
}

describe.skipIf(isMissing('chromium'))('examples/graphql-ws/call.ts', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser(FAKE_CAMERA);
  });
  afterAll(() => browser.close());

  test('calls an app of 2015, and hangs up', async () => {
    await using app = await startDemoApp();
    using example = await serveExample(app.url);
    await using bob = await openTab(browser, `${app.url}/?side=legacy`);
    await waitUntilOnline(bob.page, 'legacy');
    await using ann = await openTab(browser, example.url);
    const options = {
      url: `${app.url.replace('http', 'ws')}/graphql`,
      token: await logIn(app.url),
      conversationId: CONVERSATION_ID,
      accountId: 'User:2',
      calls: true,
    };
    await ann.page.evaluate(`openExample(${JSON.stringify(options)})`);
    const readWidth = () => ann.page.evaluate("document.querySelector('#remote').videoWidth");
    await expect.poll(readWidth, { timeout: 30_000 }).toBe(640);
    await bob.page.locator('#legacy .call-state', { hasText: /^\d{2,} frames decoded$/ }).waitFor();
    await ann.page.evaluate('hangUp()');
    await bob.page.locator('#legacy .call').waitFor({ state: 'hidden' });
    expect(ann.problems.filter((problem) => !problem.startsWith('another host'))).toEqual([]);
  });
});
