import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emittedChannels, listErrors } from '../../scripts/legacy-contract.ts';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { LAPTOP, BROWSER_TIMEOUT, PHONE, openBrowser, openTab } from './browser.ts';

const WITHOUT_SCRIPTS = { javaScriptEnabled: false };

describe.skipIf(isMissing('chromium'))('the page of the legacy channels', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  let gateway: TestGateway;

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([openBrowser(), startTestApp()]);
  });
  afterAll(async () => {
    await browser.close();
    await gateway[Symbol.asyncDispose]();
  });

  test('shows every channel with its fields and errors, without scripts, and requests no other host', async () => {
    await using tab = await openTab(browser, `${gateway.url}/channels`, WITHOUT_SCRIPTS);
    const { page } = tab;
    for (const channel of CHANNELS) {
      const article = page.locator(`article:has(#listened-${channel.name})`);
      const articleText = await article.innerText();
      for (const { name, description } of channel.fields) {
        expect(articleText).toContain(name);
        expect(articleText).toContain(description.replaceAll('`', ''));
      }
      for (const { text } of listErrors(channel)) expect(articleText).toContain(text);
    }
    for (const name of emittedChannels)
      await page.locator(`#emitted-${name.replace(' ', '_')}`, { hasText: name }).waitFor();
    expect(tab.problems).toEqual([]);
    expect(tab.addresses.some((address) => address.endsWith('.woff2'))).toBe(true);
  });

  test('links to the two other pages, and has no broken link', async () => {
    await using tab = await openTab(browser, `${gateway.url}/`, WITHOUT_SCRIPTS);
    const { page } = tab;
    expect(await page.locator('a[href="/asyncapi.yaml"]').count()).toBe(1);
    await page.locator('nav a[href="/channels"]').click();
    await page.waitForURL('**/channels');
    const hrefs = await page.locator('a[href]').evaluateAll((links) => links.map(String));
    const targets = new Set(hrefs.map((href) => href.replace(page.url(), '')));
    expect([...targets]).toEqual(expect.arrayContaining([`${gateway.url}/`, `${gateway.url}/asyncapi.yaml`]));
    for (const target of targets) {
      const headers = { accept: 'text/html' };
      const count = target.startsWith('#')
        ? await page.locator(target).count()
        : Number((await fetch(target, { headers })).ok);
      expect({ target, count }).toEqual({ target, count: 1 });
    }
    const document = await fetch(`${gateway.url}/asyncapi.yaml`);
    expect(document.headers.get('content-type')).toBe('application/yaml; charset=utf-8');
    expect(await document.text()).toContain('/channels');
  });

  test('is usable by keyboard alone', async () => {
    await using tab = await openTab(browser, `${gateway.url}/channels`);
    const { page } = tab;
    const readFocusedText = () => page.evaluate('document.activeElement.textContent');
    await page.keyboard.press('Tab');
    expect(await readFocusedText()).toBe('Skip to the text');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.closest(".channels") !== null')).toBe(true);
    const example = page.locator('details', { hasText: 'A user sends a message without files' });
    await example.locator('summary').focus();
    await page.keyboard.press('Enter');
    await example.locator('pre', { hasText: '"content": "Bonjour"' }).waitFor();
    expect(tab.problems).toEqual([]);
  });

  test('fits a laptop and a phone', async () => {
    await using tab = await openTab(browser, `${gateway.url}/channels`);
    await tab.page.evaluate(
      'for (const example of document.querySelectorAll("details")) example.open = true',
    );
    for (const size of [LAPTOP, PHONE, { width: 320, height: 640 }]) {
      await tab.page.setViewportSize(size);
      expect(await tab.page.evaluate('document.documentElement.scrollWidth')).toBe(size.width);
    }
  });
});
