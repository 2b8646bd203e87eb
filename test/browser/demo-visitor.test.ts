import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDataFolder } from '../harness/data-folder.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { DESKTOP, PHONE, openBrowser } from './browser.ts';
import { openDemo, typeMessage, waitForText } from './demo-page.ts';
import type { Side } from './demo-page.ts';
import { FAKE_CAMERA } from './demo-suite.ts';

const MINUTE_MS = 60_000;

describe.skipIf(isMissing('chromium'))('a visitor of the page', { timeout: 3 * MINUTE_MS }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser(FAKE_CAMERA);
  }, MINUTE_MS);
  afterAll(() => browser.close());

  test.for([
    ['a laptop', DESKTOP],
    ['a phone', PHONE],
  ] as const)(
    'sees a message, a file, a call and a restart cross within a minute, on %s',
    async ([, size]) => {
      await using folder = await createDataFolder();
      const env = { ...PROGRAM_ENV, DATA_DIR: folder.path, PORT: '0' };
      await using program = startProgram(SERVER_COMMAND, env);
      const url = await waitUntilListening(program.child);
      const openedAt = performance.now();
      await using tab = await openDemo(browser, url, size);
      const { page } = tab;
      const isPhone = size === PHONE;
      const show = async (view: Side | 'middle') => {
        if (isPhone) await page.locator(`.views [data-view=${view}]`).click();
        expect(await page.evaluate('scrollY')).toBe(0);
      };

      await typeMessage(page, 'legacy', 'from 2015');
      await show('graphql');
      await waitForText(page, 'graphql', 'from 2015');

      await show('middle');
      await page.locator('#send-picture').click();
      await show('graphql');
      await page.locator('#graphql .message img').waitFor();

      await show('middle');
      await page.locator('#start-call').click();
      for (const side of ['legacy', 'graphql'] as const) {
        await show(side);
        await page.locator(`#${side} .call-state`, { hasText: /^\d+ frames decoded$/ }).waitFor();
      }
      await page.locator('#graphql .hang-up').click();

      await show('middle');
      await page.locator('#restart button[data-needs]').click();
      await page.locator('.tally', { hasText: /lost 0, repeated 0, back after \d+ ms$/ }).waitFor();
      expect(performance.now() - openedAt).toBeLessThan(MINUTE_MS);
    },
  );
});
