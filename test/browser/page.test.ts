import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import {
  SIDES,
  findComposer,
  openDemo,
  readNewTexts,
  readTexts,
  typeMessage,
  waitForText,
  waitUntilOffline,
  waitUntilOnline,
} from './demo-page.ts';

import { describeDemo } from './demo-suite.ts';

const TEXT = 'é€😀';

describeDemo('the page', [], (demo) => {
  test('connects socket.io-client 1.3.6 by polling, upgrades it, and requests no other host', async () => {
    await using tab = await demo.open();
    await waitForText(tab.page, 'legacy', 'Connected: polling, then websocket');
    const socketIo = tab.addresses.filter((address) => address.includes('/socket.io/?'));
    expect(socketIo[0]).toMatch(/EIO=3&transport=polling/);
    expect(socketIo.some((address) => /^ws:.*EIO=3&transport=websocket&sid=/.test(address))).toBe(true);
    expect(tab.problems).toEqual([]);
  });

  test('works when it is loaded again, from the cache of the browser', async () => {
    await using tab = await demo.open();
    await tab.page.reload();
    for (const side of SIDES) await waitUntilOnline(tab.page, side);
    expect(tab.problems).toEqual([]);
  });

  test('shows messages of either side on both, once and in order', async () => {
    await using tab = await demo.open();
    const since = (await readTexts(tab.page, 'legacy')).length;
    await typeMessage(tab.page, 'legacy', `from the left ${TEXT}`);
    await waitForText(tab.page, 'graphql', `from the left ${TEXT}`);
    await typeMessage(tab.page, 'graphql', `from the right ${TEXT}`);
    await waitForText(tab.page, 'legacy', `from the right ${TEXT}`);
    await typeMessage(tab.page, 'legacy', '<img src=x onerror=alert(1)>');
    for (const side of SIDES) await waitForText(tab.page, side, '<img src=x onerror=alert(1)>');
    const expected = [`from the left ${TEXT}`, `from the right ${TEXT}`, '<img src=x onerror=alert(1)>'];
    expect(await readNewTexts(tab.page, since)).toEqual({ legacy: expected, graphql: expected });
    expect(tab.problems).toEqual([]);
  });

  test('delivers the same texts when the legacy client cannot open a WebSocket', async () => {
    // Uses its own gateway, as a disconnected polling client is detected late and would disturb other tests.
    await using folder = await createDataFolder();
    await using separateGateway = await createGateway({ demo: true, env: { DATA_DIR: folder.path } });
    await using tab = await openDemo(demo.browser, separateGateway.url, {
      prepare: (page) => page.routeWebSocket(/\/socket\.io\//, (socket) => socket.close()),
    });
    await waitForText(tab.page, 'legacy', 'Connected: polling');
    await typeMessage(tab.page, 'legacy', `polled ${TEXT}`);
    await waitForText(tab.page, 'graphql', `polled ${TEXT}`);
    await typeMessage(tab.page, 'graphql', `reply ${TEXT}`);
    await waitForText(tab.page, 'legacy', `reply ${TEXT}`);
  });

  test('shows who is typing, and when they stop', async () => {
    await using tab = await demo.open();
    await findComposer(tab.page, 'legacy').fill('I am');
    await waitForText(tab.page, 'graphql', 'Bob is typing…');
    await findComposer(tab.page, 'legacy').fill('');
    await tab.page.locator('#graphql .typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
    await findComposer(tab.page, 'graphql').fill('So am I');
    await waitForText(tab.page, 'legacy', 'Ann is typing…');
  });

  test('renames the conversation for both', async () => {
    await using tab = await demo.open();
    await tab.page.locator('#graphql .rename summary').click();
    await tab.page.locator('#graphql .rename input').fill(`Harbour ${TEXT}`);
    await tab.page.locator('#graphql .rename button').click();
    for (const side of SIDES) {
      await waitForText(tab.page, side, `The conversation is now called “Harbour ${TEXT}”.`);
      expect(await tab.page.locator(`#${side} .name`).textContent()).toBe(`Harbour ${TEXT}`);
    }
  });

  test('replays missed events once to a GraphQL client that reconnects, and shows it as offline until then', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    const since = (await readTexts(page, 'graphql')).length;
    await page.locator('#graphql .toggle').click();
    await waitUntilOffline(page, 'graphql');
    await waitForText(page, 'legacy', 'Ann is offline');
    await typeMessage(page, 'legacy', 'sent while offline');
    await waitForText(page, 'legacy', 'sent while offline');
    expect(await readNewTexts(page, since)).toEqual({ legacy: ['sent while offline'], graphql: [] });

    await page.locator('#graphql .toggle').click();
    await waitUntilOnline(page, 'graphql');
    await waitForText(page, 'graphql', 'Resumed after the cursor: 1 replayed.');
    await waitForText(page, 'legacy', 'Ann is online');
    await typeMessage(page, 'legacy', 'and now');
    await waitForText(page, 'graphql', 'and now');
    expect((await readNewTexts(page, since)).graphql).toEqual(['sent while offline', 'and now']);
    expect(tab.problems).toEqual([]);
  });

  test('reconnects the GraphQL client after a network failure, and replays what it missed once', async () => {
    await using proxy = await openTcpProxy(Number(new URL(demo.gateway.url).port));
    await using tab = await openDemo(demo.browser, `http://127.0.0.1:${proxy.port}`);
    const { page } = tab;
    const since = (await readTexts(page, 'graphql')).length;
    proxy.refuse();
    await page.locator('#graphql[data-state=reconnecting]').waitFor();
    await sendMessage(demo.gateway.url, await logIn(demo.gateway.url), 'sent during the outage');
    proxy.accept();
    await waitUntilOnline(page, 'graphql');
    await waitForText(page, 'graphql', 'Resumed after the cursor: 1 replayed.');
    await waitUntilOnline(page, 'legacy');
    await typeMessage(page, 'legacy', 'and after it');
    await waitForText(page, 'graphql', 'and after it');
    expect((await readNewTexts(page, since)).graphql).toEqual(['sent during the outage', 'and after it']);
  });

  test('shows the legacy client as offline, and replays all missed messages when it reconnects', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    const since = (await readTexts(page, 'legacy')).length;
    await page.locator('#legacy .toggle').click();
    await waitUntilOffline(page, 'legacy');
    await waitForText(page, 'graphql', 'Bob is offline');
    const missed = Array.from({ length: 30 }, (_, index) => `missed ${index}`);
    for (const text of missed) {
      await typeMessage(page, 'graphql', text);
      await waitForText(page, 'graphql', text);
    }
    await page.locator('#legacy .toggle').click();
    await waitUntilOnline(page, 'legacy');
    await waitForText(page, 'graphql', 'Bob is online');
    await typeMessage(page, 'graphql', 'after the reconnect');
    await waitForText(page, 'legacy', 'after the reconnect');
    expect((await readTexts(page, 'legacy')).slice(since)).toEqual([...missed, 'after the reconnect']);
  });

  test('shows the frames of both sides, without tokens and passwords', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    await typeMessage(page, 'legacy', 'on the wire');
    await waitForText(page, 'graphql', 'on the wire');
    const legacy = page.locator('#legacy-frames li', { hasText: '"text_message":"on the wire"' });
    expect(await legacy.locator('.label').textContent()).toBe('message');
    await legacy.locator('summary').click();
    expect(JSON.parse(await legacy.locator('pre').innerText())).toMatchObject({
      text_message: 'on the wire',
    });

    const frames = page.locator('.frames li');
    await page.evaluate(
      'for (const frame of document.querySelectorAll(".frames details")) frame.open = true',
    );
    await expect.poll(() => page.locator('.frames pre').count()).toBe(await frames.count());
    const frameTexts = (await page.locator('.frames').allTextContents()).join('\n');
    expect(frameTexts).toContain('"authorization": "•••"');
    expect(frameTexts).toContain('"token": "•••"');
    expect(frameTexts).toContain('"password": "•••"');
    expect(frameTexts).not.toMatch(/eyJ|parley"/);
    // `debug` is a setting of the client library.
    const storedState = 'JSON.stringify([localStorage, sessionStorage, document.cookie])';
    expect(await page.evaluate(storedState)).toBe('[{"debug":"undefined"},{},""]');
  });

  test('is usable by keyboard alone', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const readFocusedText = () =>
      page.evaluate('document.activeElement.textContent || document.activeElement.placeholder');
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toBe('Go offline');
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toBe('Call');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toMatch('Send a file');
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toBe('Write as Bob');
    await page.keyboard.type('typed');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await waitForText(page, 'graphql', 'typed');
    await page.locator('#graphql .toggle').focus();
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toBe('Rename');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type('By keyboard');
    await page.keyboard.press('Enter');
    await waitForText(page, 'legacy', 'By keyboard');
  });
});
