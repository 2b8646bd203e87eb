import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { PNG } from '../harness/media.ts';
import type { Side } from './demo-page.ts';
import { describeDemo } from './demo-suite.ts';

/** Drops a picture on a side. */
const dropPicture = (page: Page, side: Side, name: string) =>
  page.evaluate(
    ([selector = '', base64 = '', fileName = '']) => {
      const dataTransfer = new DataTransfer();
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      dataTransfer.items.add(new File([bytes], fileName, { type: 'image/png' }));
      document.querySelector(selector)?.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true }));
    },
    [`#${side}`, PNG.toString('base64'), name],
  );

/** Waits until a side shows a picture, loaded from the gateway. */
const waitForPicture = (page: Page, side: Side, name: string) =>
  page.waitForFunction(
    ([selector = '']) => (document.querySelector<HTMLImageElement>(selector)?.naturalWidth ?? 0) > 0,
    [`#${side} .message img[alt="${name}"]`],
  );

describeDemo('files on the page', [], (demo) => {
  test.for([
    ['legacy', 'graphql'],
    ['graphql', 'legacy'],
  ] as const)('a picture that is dropped on %s appears on %s, and after a reload', async ([from, to]) => {
    await using tab = await demo.open();
    const name = `${from}.png`;
    await dropPicture(tab.page, from, name);
    for (const side of [to, from]) await waitForPicture(tab.page, side, name);
    expect(await tab.page.locator(`.message img[alt="${name}"]`).count()).toBe(2);
    expect(await tab.page.locator('.message progress').count()).toBe(0);
    await tab.page.reload();
    for (const side of [to, from]) await waitForPicture(tab.page, side, name);
    expect(tab.problems).toEqual([]);
  });

  test.for(['legacy', 'graphql'] as const)('a file is chosen and saved on the side of %s', async (side) => {
    await using tab = await demo.open();
    const name = `notes of ${side}.txt`;
    await tab.page
      .locator(`#${side} .attach input`)
      .setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from('some text') });
    const link = tab.page.locator(`#${side} .message`).getByRole('link', { name });
    await link.waitFor();
    const saved = tab.page.waitForEvent('download');
    await link.click();
    expect((await saved).suggestedFilename()).toBe(name);
  });

  test('shows the progress of an upload', async () => {
    let isUploadAllowed = (): void => undefined;
    const allowed = new Promise<void>((resolve) => (isUploadAllowed = resolve));
    await using tab = await demo.open({
      async prepare(page) {
        await page.route(/\/media\/upload\//, async (route) => {
          await allowed;
          await route.continue();
        });
      },
    });
    for (const side of ['graphql', 'legacy'] as const) {
      await dropPicture(tab.page, side, 'slow.png');
      await tab.page.locator(`#${side} progress[aria-label="Upload of slow.png"]`).waitFor();
    }
    isUploadAllowed();
    for (const side of ['graphql', 'legacy'] as const) await waitForPicture(tab.page, side, 'slow.png');
  });

  test('sends a picture by one click', async () => {
    await using tab = await demo.open();
    await tab.page.locator('#send-picture').click();
    await waitForPicture(tab.page, 'graphql', 'picture.png');
    await waitForPicture(tab.page, 'legacy', 'picture.png');
  });
});
