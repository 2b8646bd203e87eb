import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';
import { SIDES, openDemo, readTexts, typeMessage, waitForText, waitUntilOffline } from './demo-page.ts';

const TALLY = /^(\d+) written: lost 0, repeated 0, back after \d+ ms$/;

describe.skipIf(isMissing('chromium'))('the restart of the demo', BROWSER_TIMEOUT, () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  test('loses and repeats nothing that both sides write meanwhile', async () => {
    await using folder = await createDataFolder();
    await using program = startProgram(SERVER_COMMAND, {
      ...PROGRAM_ENV,
      DATA_DIR: folder.path,
      PORT: '0',
      LOG_LEVEL: 'info',
    });
    const url = await waitUntilListening(program.child);
    await using tab = await openDemo(browser, url);
    const { page } = tab;
    for (const _restart of [1, 2]) {
      await page.locator('#restart button[data-needs]').click();
      const tally = page.locator('.tally', { hasText: TALLY });
      await tally.waitFor();
      const written = Number(TALLY.exec((await tally.textContent()) ?? '')?.[1]);
      const texts = await Promise.all(SIDES.map((side) => readTexts(page, side)));
      const newest = texts.map((all) => all.slice(-written).sort());
      expect(newest[0]).toHaveLength(written);
      expect(new Set(newest[0]).size).toBe(written);
      expect(newest[1]).toEqual(newest[0]);
    }
    expect(program.printed.stdout.match(/"msg":"restarted by the demo"/g)).toHaveLength(2);
    program.child.kill('SIGTERM');
    expect(await program.exited).toEqual([0, null]);
  });

  test('is hidden where the gateway does not allow it, as is the phone', async () => {
    await using gateway = await startTestApp({ demo: true });
    await using tab = await openDemo(browser, gateway.url);
    await tab.page.locator('#send-picture:enabled').waitFor();
    for (const action of ['#restart', '#phone'])
      expect([action, await tab.page.locator(action).isVisible()]).toEqual([action, false]);
    expect(tab.problems).toEqual([]);
  });

  test.for(SIDES)('what %s writes offline waits, and is sent once when it is online again', async (side) => {
    await using gateway = await startTestApp({ demo: true });
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    const other = side === 'legacy' ? 'graphql' : 'legacy';
    await page.locator(`#${side} .toggle`).click();
    await waitUntilOffline(page, side);
    await typeMessage(page, side, 'first');
    await typeMessage(page, side, 'second');
    expect(await page.locator(`#${side} .drafts li`).allTextContents()).toEqual(['first', 'second']);
    await typeMessage(page, other, 'from the other side');
    await waitForText(page, other, 'from the other side');
    await page.locator(`#${side} .toggle`).click();
    for (const each of SIDES) await page.locator(`#${each} .text`, { hasText: 'second' }).waitFor();
    for (const each of SIDES)
      expect((await readTexts(page, each)).slice(-3)).toEqual(['from the other side', 'first', 'second']);
    await page.locator(`#${side} .drafts li`).first().waitFor({ state: 'detached' });
  });
});
