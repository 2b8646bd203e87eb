import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';
import { SIDES, openDemo } from './demo-page.ts';
import type { Side } from './demo-page.ts';

const FLAGS = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

/** Waits until a side has decoded more than 30 frames of the other one's video. */
const waitForVideo = (page: Page, side: Side) =>
  page.waitForFunction(
    (selector) => Number.parseInt(document.querySelector(selector)?.textContent ?? '', 10) > 30,
    `#${side} .call-state`,
  );

const waitForEvent = (page: Page, name: string) => page.locator('#events li', { hasText: name }).waitFor();

describe.skipIf(isMissing('chromium'))('calls on the page', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  let gateway: TestGateway;

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([openBrowser(FLAGS), startTestApp({ demo: true })]);
  });
  afterAll(async () => {
    await browser.close();
    await gateway[Symbol.asyncDispose]();
  });

  test.for([
    ['legacy', 'graphql'],
    ['graphql', 'legacy'],
  ] as const)('%s calls, both decode video, and %s hangs up', async ([caller, callee]) => {
    await using tab = await openDemo(browser, gateway.url);
    const { page } = tab;
    await page.locator(`#${caller} .call-button`).click();
    for (const side of SIDES) await waitForVideo(page, side);
    await waitForEvent(page, 'CallParticipantJoined');
    await page.locator(`#${callee} .hang-up`).click();
    for (const side of SIDES) await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
    // The next call, from the other side, is one of its own.
    await page.locator(`#${callee} .call-button`).click();
    for (const side of SIDES) await waitForVideo(page, side);
    await page.locator(`#${caller} .hang-up`).click();
    for (const side of SIDES) await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
    expect(tab.problems).toEqual([]);
  });

  test('a call by the button of the middle, without a camera', async () => {
    await using tab = await openDemo(browser, gateway.url, {
      async prepare(page) {
        await page.addInitScript('delete Navigator.prototype.mediaDevices');
      },
    });
    await tab.page.locator('#start-call').click();
    for (const side of SIDES) await waitForVideo(tab.page, side);
    expect(await tab.page.locator('.note', { hasText: 'Failed' }).allTextContents()).toEqual([]);
  });
});
