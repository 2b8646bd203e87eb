import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../../src/app.ts';
import { startDemoApp } from '../harness/demo-app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { findViolations } from './axe.ts';
import { BROWSER_TIMEOUT, PHONE, openBrowser, openTab } from './browser.ts';
import { SIDES, openDemo, typeMessage, waitForText, waitUntilOnline } from './demo-page.ts';
import { FAKE_CAMERA } from './demo-suite.ts';
import { readQr } from './qr.ts';

/** Another address of this machine, as that of the local network is. */
const PHONE_ADDRESS = '127.0.0.2';
/** A name of the gateway at which it is not on this machine for the browser, and has no HTTPS. */
const TUNNEL = 'parley.test';
const FLAGS = [...FAKE_CAMERA, `--host-resolver-rules=MAP ${TUNNEL} 127.0.0.1`];

const findDialog = (page: Page) => page.locator('#phone-dialog[open]');
const openDialog = (page: Page) => page.locator('#phone button').click();
const readAddress = async (page: Page): Promise<string> =>
  (await findDialog(page).locator('.address').textContent()) ?? '';

describe.skipIf(isMissing('chromium'))('the page on a phone', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  let app: App;
  let address: string | undefined = PHONE_ADDRESS;
  beforeAll(async () => {
    const phone = { findAddress: () => address };
    [browser, app] = await Promise.all([openBrowser(FLAGS), startDemoApp({ phone })]);
  });
  afterEach(() => fetch(`${app.url}/demo/phone`, { method: 'DELETE' }));
  afterAll(async () => {
    await browser.close();
    await app[Symbol.asyncDispose]();
  });

  /** Opens the page, and the address of its code in another browser. */
  const openBoth = async () => {
    await using stack = new AsyncDisposableStack();
    const tab = stack.use(await openDemo(browser, app.url));
    await openDialog(tab.page);
    await findDialog(tab.page).locator('.qr svg').waitFor();
    const onPhone = stack.use(await openTab(browser, await readAddress(tab.page), PHONE));
    await waitUntilOnline(onPhone.page, 'legacy');
    await findDialog(tab.page).getByText('Bob is open on a phone.').waitFor();
    const owned = stack.move();
    return { tab, page: tab.page, onPhone, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  };

  test('opens Bob’s side by the code, in the same conversation, and only once', async () => {
    await using tab = await openDemo(browser, app.url);
    const { page } = tab;
    await openDialog(page);
    await findDialog(page).getByText('Scan it with a phone in the same network.').waitFor();
    expect(await findDialog(page).locator('.left').textContent()).toMatch(/^1[45]:\d\d left$/);
    const url = await readQr(findDialog(page).locator('.qr svg'));
    expect(url).toMatch(/^http:\/\/127\.0\.0\.2:\d+\/demo\/phone\?key=/);
    expect(await readAddress(page)).toBe(url);
    expect(await findViolations(page)).toEqual([]);

    await using onPhone = await openTab(browser, url, PHONE);
    await waitUntilOnline(onPhone.page, 'legacy');
    expect(new URL(onPhone.page.url()).pathname).toBe('/');
    for (const part of ['#graphql', '.views', '.middle'])
      expect([part, await onPhone.page.locator(part).isVisible()]).toEqual([part, false]);
    expect(await findViolations(onPhone.page)).toEqual([]);
    await findDialog(page).getByText('Bob is open on a phone.').waitFor();
    expect(await findDialog(page).locator('.qr svg').count()).toBe(0);
    expect(await findViolations(page)).toEqual([]);
    await using second = await openTab(browser, 'about:blank');
    expect((await second.page.goto(url))?.status()).toBe(403);

    expect(tab.problems).toEqual([]);
  });

  test('receives the messages and the calls of Bob, until the page closes it', async () => {
    await using both = await openBoth();
    const { tab, page, onPhone } = both;
    await findDialog(page).getByRole('button', { name: 'Close' }).click();
    await typeMessage(onPhone.page, 'legacy', 'from the phone');
    for (const side of SIDES) await waitForText(page, side, 'from the phone');
    await typeMessage(page, 'graphql', 'to the phone');
    await waitForText(onPhone.page, 'legacy', 'to the phone');

    // Calls of Bob ring on his newest connection.
    await page.getByRole('button', { name: 'Call Bob' }).click();
    const waitForVideo = (where: Page, side: string) =>
      where.locator(`#${side} .call-state`, { hasText: /^\d{2,} frames decoded$/ }).waitFor();
    await Promise.all([waitForVideo(page, 'graphql'), waitForVideo(onPhone.page, 'legacy')]);
    await onPhone.page.locator('#legacy .hang-up').click();
    await page.locator('#graphql .call').waitFor({ state: 'hidden' });
    expect([...tab.problems, ...onPhone.problems]).toEqual([]);

    await openDialog(page);
    await findDialog(page).getByRole('button', { name: 'Stop' }).click();
    await findDialog(page).getByText('Closed: no other machine reaches the gateway.').waitFor();
    await onPhone.page.locator('#legacy[data-state=reconnecting]').waitFor();
    await page.locator('#start-call', { hasText: 'Call Ann' }).waitFor({ state: 'attached' });
  });

  test('opens by a click on the address, and again by another code after a reload', async () => {
    await using tab = await openDemo(browser, app.url);
    const { page } = tab;
    await openDialog(page);
    const [opened] = await Promise.all([
      page.waitForEvent('popup'),
      findDialog(page).locator('.address').click(),
    ]);
    await waitUntilOnline(opened, 'legacy');
    await page.reload();
    await waitUntilOnline(page, 'graphql');
    await openDialog(page);
    await findDialog(page).getByText('Bob is open on a phone.').waitFor();
    await findDialog(page).getByRole('button', { name: 'Stop' }).click();
    await findDialog(page).getByText('Closed').waitFor();
    await page.keyboard.press('Escape');
    await openDialog(page);
    await findDialog(page).locator('.qr svg').waitFor();
    expect(tab.problems).toEqual([]);
  });

  test('shows its own address where other machines reach it, and says that the camera needs HTTPS', async () => {
    const ownAddress = `http://${TUNNEL}:${app.port}`;
    await using tab = await openDemo(browser, ownAddress);
    await openDialog(tab.page);
    const url = await readQr(findDialog(tab.page).locator('.qr svg'));
    expect(url).toBe(`${ownAddress}/?side=legacy`);
    expect(await readAddress(tab.page)).toBe(url);
    await using onPhone = await openTab(browser, url, PHONE);
    await onPhone.page.locator('#legacy .call-button:enabled').click();
    await onPhone.page.getByText('The camera needs HTTPS: a drawing is sent instead.').waitFor();
    await onPhone.page.locator('#legacy .call-state', { hasText: /^\d+ frames decoded$/ }).waitFor();
  });

  test('says that the machine is in no network', async () => {
    address = undefined;
    await using tab = await openDemo(browser, app.url);
    await openDialog(tab.page);
    await findDialog(tab.page).getByText('has no address in a local network').waitFor();
  });
});
