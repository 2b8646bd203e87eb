import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { DESKTOP, LAPTOP, PHONE } from './browser.ts';
import { SIDES, typeMessage, waitForText } from './demo-page.ts';
import { describeDemo } from './demo-suite.ts';

const SIDE_PARTS = ['.toggle', '.log', '.composer button[type=submit]'];

/** Whether the whole element is on the screen, without scrolling. */
async function isOnScreen(page: Page, selector: string): Promise<boolean> {
  const box = await page.locator(selector).boundingBox();
  const { width, height } = page.viewportSize() ?? { width: 0, height: 0 };
  if (box === null || box.width === 0 || box.height === 0) return false;
  return box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
}

describeDemo('the layout of the page', [], (demo) => {
  test.for([DESKTOP, LAPTOP])(
    'shows both sides, both wires and the log on one screen of $width x $height',
    async (size) => {
      await using tab = await demo.open(size);
      const parts = SIDES.flatMap((side) => [
        ...SIDE_PARTS.map((part) => `#${side} ${part}`),
        `#${side}-frames`,
      ]);
      for (const part of [...parts, '#events'])
        expect({ part, isOnScreen: await isOnScreen(tab.page, part) }).toEqual({ part, isOnScreen: true });
      expect(await tab.page.evaluate('document.documentElement.scrollWidth')).toBe(size.width);
    },
  );

  test('shows each side and its wire on a phone without scrolling, one at a time', async () => {
    await using tab = await demo.open(PHONE);
    const { page } = tab;
    await typeMessage(page, 'legacy', 'from the first view');
    for (const side of ['graphql', 'legacy'] as const) {
      await page.locator(`.views [data-view=${side}]`).click();
      await waitForText(page, side, 'from the first view');
      for (const part of [...SIDE_PARTS.map((name) => `#${side} ${name}`), `#${side}-frames`])
        expect({ part, isOnScreen: await isOnScreen(page, part) }).toEqual({ part, isOnScreen: true });
      const other = side === 'legacy' ? 'graphql' : 'legacy';
      expect(await page.locator(`#${other}`).isVisible()).toBe(false);
    }
    await page.locator('.views [data-view=middle]').click();
    expect(await page.locator('#events').innerText()).toContain('from the first view');
    expect(await page.evaluate('[scrollY, document.documentElement.scrollWidth]')).toEqual([0, PHONE.width]);
  });
});
