import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { LAPTOP, BROWSER_TIMEOUT, PHONE, openBrowser, openTab } from './browser.ts';

const FOLDER = 'test/browser/screenshots';
const SIZES = { laptop: LAPTOP, phone: PHONE };

/** Fills the page: messages in both directions, an event, and a typing indicator. */
async function fillPage(page: Page): Promise<void> {
  for (const side of ['legacy', 'graphql']) await page.locator(`#${side}[data-state=online]`).waitFor();
  const lines = [
    ['legacy', 'graphql', 'My phone has had no update since 2015. Can you read this?'],
    ['graphql', 'legacy', 'Every word. Même le café à 2 € 😀'],
  ] as const;
  for (const [from, to, text] of lines) {
    await page.locator(`#${from} .composer label input`).fill(text);
    await page.locator(`#${from} .composer button[type=submit]`).click();
    await page.locator(`#${to} .message`, { hasText: text }).waitFor();
  }
  await page.locator('#legacy .composer label input').pressSequentially('Then let us');
  await page.locator('#graphql .typing', { hasText: 'Bob is typing…' }).waitFor();
}

describe.skipIf(isMissing('chromium'))('screenshots of the page', BROWSER_TIMEOUT, () => {
  test('fit a laptop and a phone, light and dark', async () => {
    await using gateway = await startTestApp({ demo: true });
    await using browser = await openBrowser();
    await using tab = await openTab(browser, `${gateway.url}/`);
    const { page } = tab;
    await fillPage(page);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [name, size] of Object.entries(SIZES)) {
        await page.setViewportSize(size);
        await page.locator('#legacy .composer label input').press('.');
        await page.locator('#graphql .typing', { hasText: 'Bob is typing…' }).waitFor({ state: 'attached' });
        await page.evaluate('scrollTo(0, 0)');
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(size.width);
        await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}.png` });
        await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}-whole.png`, fullPage: true });
      }
    }
  });
});
