import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { logIn, sendMessage } from '../client/message-writer.ts';
import { startTestApp } from '../harness/app.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { PATIENT, openBrowser, openTab } from './browser.ts';
import type { Tab, TabOptions } from './browser.ts';

type Side = 'legacy' | 'graphql';
const TEXT = 'é€😀';

/** Opens the page and waits until both of its clients are connected. */
async function openDemo(browser: Browser, url: string, options?: TabOptions): Promise<Tab> {
  const tab = await openTab(browser, `${url}/`, options);
  await online(tab.page, 'legacy');
  await online(tab.page, 'graphql');
  return tab;
}

const online = (page: Page, side: Side) => page.locator(`#${side}[data-state=online]`).waitFor();
const offline = (page: Page, side: Side) => page.locator(`#${side}[data-state=offline]`).waitFor();
const composer = (page: Page, side: Side) => page.locator(`#${side} .composer input`);
const texts = (page: Page, side: Side) => page.locator(`#${side} .message .text`).allTextContents();
const shows = (page: Page, side: Side, what: string) =>
  page.locator(`#${side}`).getByText(what, { exact: true }).first().waitFor();

async function say(page: Page, side: Side, text: string): Promise<void> {
  await composer(page, side).fill(text);
  await composer(page, side).press('Enter');
}

/** Returns what each side shows from here on. */
async function newTexts(page: Page, since: number): Promise<Record<Side, string[]>> {
  const [legacy, graphql] = await Promise.all([texts(page, 'legacy'), texts(page, 'graphql')]);
  return { legacy: legacy.slice(since), graphql: graphql.slice(since) };
}

describe.skipIf(isMissing('chromium'))('the page', PATIENT, () => {
  let browser: Browser;
  let gateway: TestGateway;

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([openBrowser(), startTestApp({ demo: true })]);
  });
  afterAll(async () => {
    await browser.close();
    await gateway[Symbol.asyncDispose]();
  });

  test('connects socket.io-client 1.3.6 by polling, upgrades it, and requests no other host', async () => {
    await using tab = await openDemo(browser, gateway.url);
    await shows(tab.page, 'legacy', 'Connected: polling, then websocket');
    const socketIo = tab.addresses.filter((address) => address.includes('/socket.io/?'));
    expect(socketIo[0]).toMatch(/EIO=3&transport=polling/);
    expect(socketIo.some((address) => /^ws:.*EIO=3&transport=websocket&sid=/.test(address))).toBe(true);
    expect(tab.problems).toEqual([]);
  });

  test('shows messages of either side on both, once and in order', async () => {
    await using tab = await openDemo(browser, gateway.url);
    const since = (await texts(tab.page, 'legacy')).length;
    await say(tab.page, 'legacy', `from the left ${TEXT}`);
    await shows(tab.page, 'graphql', `from the left ${TEXT}`);
    await say(tab.page, 'graphql', `from the right ${TEXT}`);
    await shows(tab.page, 'legacy', `from the right ${TEXT}`);
    await say(tab.page, 'legacy', '<img src=x onerror=alert(1)>');
    for (const side of ['legacy', 'graphql'] as const)
      await shows(tab.page, side, '<img src=x onerror=alert(1)>');
    const said = [`from the left ${TEXT}`, `from the right ${TEXT}`, '<img src=x onerror=alert(1)>'];
    expect(await newTexts(tab.page, since)).toEqual({ legacy: said, graphql: said });
    expect(tab.problems).toEqual([]);
  });

  test('carries the same texts when the legacy client cannot open a WebSocket', async () => {
    // In a separate gateway: a disconnected polling client is noticed late, which other tests would see.
    await using folder = await createDataFolder();
    await using alone = await createGateway({ demo: true, env: { DATA_DIR: folder.path } });
    await using tab = await openDemo(browser, alone.url, {
      prepare: (page) => page.routeWebSocket(/\/socket\.io\//, (socket) => socket.close()),
    });
    await shows(tab.page, 'legacy', 'Connected: polling');
    await say(tab.page, 'legacy', `polled ${TEXT}`);
    await shows(tab.page, 'graphql', `polled ${TEXT}`);
    await say(tab.page, 'graphql', `answered ${TEXT}`);
    await shows(tab.page, 'legacy', `answered ${TEXT}`);
  });

  test('shows who is typing, and when they stop', async () => {
    await using tab = await openDemo(browser, gateway.url);
    await composer(tab.page, 'legacy').fill('I am');
    await shows(tab.page, 'graphql', 'Bob is typing…');
    await composer(tab.page, 'legacy').fill('');
    await tab.page.locator('#graphql .typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
    await composer(tab.page, 'graphql').fill('So am I');
    await shows(tab.page, 'legacy', 'Ann is typing…');
  });

  test('renames the conversation for both', async () => {
    await using tab = await openDemo(browser, gateway.url);
    await tab.page.locator('#graphql .rename summary').click();
    await tab.page.locator('#graphql .rename input').fill(`Harbour ${TEXT}`);
    await tab.page.locator('#graphql .rename button').click();
    for (const side of ['legacy', 'graphql'] as const) {
      await shows(tab.page, side, `The conversation is now called “Harbour ${TEXT}”.`);
      expect(await tab.page.locator(`#${side} .name`).textContent()).toBe(`Harbour ${TEXT}`);
    }
  });

  test('replays missed events once to a GraphQL client that reconnects, and shows the other side that it left', async () => {
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    const since = (await texts(page, 'graphql')).length;
    await page.locator('#graphql .toggle').click();
    await offline(page, 'graphql');
    await shows(page, 'legacy', 'Ann is offline');
    await say(page, 'legacy', 'said to nobody');
    await shows(page, 'legacy', 'said to nobody');
    expect(await newTexts(page, since)).toEqual({ legacy: ['said to nobody'], graphql: [] });

    await page.locator('#graphql .toggle').click();
    await online(page, 'graphql');
    await shows(page, 'graphql', 'Resumed after the cursor: 1 replayed.');
    await shows(page, 'legacy', 'Ann is online');
    await say(page, 'legacy', 'and now');
    await shows(page, 'graphql', 'and now');
    expect((await newTexts(page, since)).graphql).toEqual(['said to nobody', 'and now']);
    expect(tab.problems).toEqual([]);
  });

  test('reconnects the GraphQL client after a network failure, and replays what it missed once', async () => {
    await using network = await openTcpProxy(Number(new URL(gateway.url).port));
    await using tab = await openDemo(browser, `http://127.0.0.1:${network.port}`);
    const { page } = tab;
    const since = (await texts(page, 'graphql')).length;
    network.refuse();
    await page.locator('#graphql[data-state=reconnecting]').waitFor();
    await sendMessage(gateway.url, await logIn(gateway.url), 'said while the network was cut');
    network.accept();
    await online(page, 'graphql');
    await shows(page, 'graphql', 'Resumed after the cursor: 1 replayed.');
    await online(page, 'legacy');
    await say(page, 'legacy', 'and after it');
    await shows(page, 'graphql', 'and after it');
    expect((await newTexts(page, since)).graphql).toEqual(['said while the network was cut', 'and after it']);
  });

  test('shows the other side that the legacy client left, and replays to it all it missed when it reconnects', async () => {
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    const since = (await texts(page, 'legacy')).length;
    await page.locator('#legacy .toggle').click();
    await offline(page, 'legacy');
    await shows(page, 'graphql', 'Bob is offline');
    const missed = Array.from({ length: 30 }, (_, index) => `said while away, ${index}`);
    for (const text of missed) {
      await say(page, 'graphql', text);
      await shows(page, 'graphql', text);
    }
    await page.locator('#legacy .toggle').click();
    await online(page, 'legacy');
    await shows(page, 'graphql', 'Bob is online');
    await say(page, 'graphql', 'welcome back');
    await shows(page, 'legacy', 'welcome back');
    expect((await texts(page, 'legacy')).slice(since)).toEqual([...missed, 'welcome back']);
  });

  test('shows the frames of both sides, without tokens and passwords', async () => {
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    await say(page, 'legacy', 'on the wire');
    await shows(page, 'graphql', 'on the wire');
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
    const shown = (await page.locator('.frames').allTextContents()).join('\n');
    expect(shown).toContain('"authorization": "•••"');
    expect(shown).toContain('"token": "•••"');
    expect(shown).toContain('"password": "•••"');
    expect(shown).not.toMatch(/eyJ|parley"/);
    // The rest is the library's note on its debugging.
    const kept = 'JSON.stringify([localStorage, sessionStorage, document.cookie])';
    expect(await page.evaluate(kept)).toBe('[{"debug":"undefined"},{},""]');
  });

  test('works by keyboard alone', async () => {
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const focused = () =>
      page.evaluate('document.activeElement.textContent || document.activeElement.placeholder');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Go offline');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Write as Bob');
    await page.keyboard.type('typed');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await shows(page, 'graphql', 'typed');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Rename');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type('By keyboard');
    await page.keyboard.press('Enter');
    await shows(page, 'legacy', 'By keyboard');
  });
});
