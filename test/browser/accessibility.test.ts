import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { findViolations } from './axe.ts';
import { DESKTOP, PHONE } from './browser.ts';
import { describeDemo } from './demo-suite.ts';

describeDemo('the accessibility of the page', [], (demo) => {
  test.for(['light', 'dark'] as const)('axe finds no violation in %s colours', async (colorScheme) => {
    await using tab = await demo.open({
      ...DESKTOP,
      colorScheme,
      prepare: (page) => page.emulateMedia({ reducedMotion: 'reduce' }),
    });
    const { page } = tab;
    await page.locator('#start-call').click();
    await page.locator('#send-picture').click();
    await page.locator('#graphql .message img').last().waitFor();
    await page.locator('#graphql .rename summary').click();
    expect(await findViolations(page)).toEqual([]);
    await page.locator('[data-code=file]').click();
    await page.locator('#code pre', { hasText: 'uploadMedia' }).waitFor();
    expect(await findViolations(page)).toEqual([]);
  });

  test('axe finds no violation in each view of a phone', async () => {
    await using tab = await demo.open({
      ...PHONE,
      prepare: (page) => page.emulateMedia({ reducedMotion: 'reduce' }),
    });
    for (const view of ['legacy', 'middle', 'graphql']) {
      await tab.page.locator(`.views [data-view=${view}]`).click();
      expect(await findViolations(tab.page)).toEqual([]);
    }
  });

  test('the code of an action is an example, and closes by Escape', async () => {
    await using tab = await demo.open(DESKTOP);
    const { page } = tab;
    for (const button of await page.locator('[data-code]').all()) {
      await button.focus();
      await page.keyboard.press('Enter');
      const path = await page.locator('#code[open] h2').textContent();
      const text = await readFile(new URL(`../../${String(path)}`, import.meta.url), 'utf8');
      expect(await page.locator('#code pre').textContent()).toBe(text);
      await page.keyboard.press('Escape');
      await page.locator('#code').waitFor({ state: 'hidden' });
    }
    expect(tab.problems).toEqual([]);
  });
});
