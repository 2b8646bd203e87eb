import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { SIDES, openDemo, typeMessage, waitForText, waitUntilOnline } from './demo-page.ts';
import type { Side } from './demo-page.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { FAKE_CAMERA, describeDemo } from './demo-suite.ts';

/** Waits until a side has decoded more than 30 frames of the other one's video. */
const waitForVideo = (page: Page, side: Side) =>
  page.waitForFunction(
    (selector) => Number.parseInt(document.querySelector(selector)?.textContent ?? '', 10) > 30,
    `#${side} .call-state`,
  );

const waitForEvent = (page: Page, name: string) =>
  page.locator('#events li', { hasText: name }).first().waitFor();

describeDemo('calls on the page', FAKE_CAMERA, (demo) => {
  test.for([
    ['legacy', 'graphql'],
    ['graphql', 'legacy'],
  ] as const)('%s calls, both decode video, and %s hangs up', async ([caller, callee]) => {
    await using tab = await demo.open();
    const { page } = tab;
    await page.locator(`#${caller} .call-button`).click();
    for (const side of SIDES) await waitForVideo(page, side);
    await waitForEvent(page, 'CallParticipantJoined');
    await page.locator(`#${callee} .hang-up`).click();
    for (const side of SIDES) await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
    await waitForEvent(page, 'CallParticipantLeft');
    // The next call, from the other side, is one of its own.
    await page.locator(`#${callee} .call-button`).click();
    for (const side of SIDES) await waitForVideo(page, side);
    await page.locator(`#${caller} .hang-up`).click();
    for (const side of SIDES) await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
    expect(tab.problems).toEqual([]);
  });

  test('a call by the button of the middle, without a camera', async () => {
    await using tab = await demo.open({
      async prepare(page) {
        await page.addInitScript('delete Navigator.prototype.mediaDevices');
      },
    });
    await tab.page.locator('#start-call').click();
    for (const side of SIDES) await waitForVideo(tab.page, side);
    expect(await tab.page.locator('.note', { hasText: 'Failed' }).allTextContents()).toEqual([]);
  });

  /** Holds each request for the camera until `allowCamera(count)` allows so many. */
  const HELD_CAMERA = `
    const { mediaDevices } = navigator;
    const open = mediaDevices.getUserMedia.bind(mediaDevices);
    const prompts = [];
    window.tracks = [];
    window.allowCamera = (count) => prompts.slice(0, count).forEach((allow) => allow());
    mediaDevices.getUserMedia = async (constraints) => {
      await new Promise((resolve) => {
        prompts.push(resolve);
        if (window.isAllowed) resolve();
      });
      const stream = await open(constraints);
      window.tracks.push(...stream.getTracks());
      return stream;
    };`;
  const openWithHeldCamera = () =>
    demo.open({
      async prepare(page) {
        await page.addInitScript(HELD_CAMERA);
      },
    });
  const waitForNoCall = async (page: Page) => {
    for (const side of SIDES) await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
  };
  /** Allows each request for the camera, those to come too, and waits until the former ones are released. */
  const expectCamerasReleased = async (page: Page, count: number) => {
    await page.evaluate('(window.isAllowed = true) && allowCamera()');
    const readStates = () => page.evaluate('tracks.map(({ readyState }) => readyState)');
    await expect.poll(readStates).toEqual(Array.from({ length: count }, () => 'ended'));
  };

  test.for(SIDES)('%s goes offline while the browser asks for the camera', async (side) => {
    await using tab = await openWithHeldCamera();
    const { page } = tab;
    await page.locator(`#${side} .call-button`).click();
    await page.locator(`#${side} .call-state`, { hasText: 'Calling…' }).waitFor();
    await page.locator(`#${side} .toggle`).click();
    await waitForNoCall(page);
    await expectCamerasReleased(page, 1);
    await page.locator(`#${side} .toggle`).click();
    await waitUntilOnline(page, side);
    await page.locator(`#${side} .call-button`).click();
    for (const each of SIDES) await waitForVideo(page, each);
  });

  test.for([
    ['legacy', 'graphql'],
    ['graphql', 'legacy'],
  ] as const)(
    '%s hangs up while the browser asks for the camera, and both calls end',
    async ([side, other]) => {
      await using tab = await openWithHeldCamera();
      const { page } = tab;
      await page.locator(`#${other} .call-button`).click();
      await page.evaluate('allowCamera(1)');
      await page.locator(`#${side} .call-state`, { hasText: 'Answering…' }).waitFor();
      await page.locator(`#${side} .hang-up`).click();
      await waitForNoCall(page);
      await expectCamerasReleased(page, 2);
      await page.locator(`#${other} .call-button`).click();
      for (const each of SIDES) await waitForVideo(page, each);
      expect(tab.problems).toEqual([]);
    },
  );

  test.for(['LeaveCall', 'Quit'])(
    'a call ends although the first request of %s is lost',
    async (operation) => {
      await using tab = await demo.open();
      const { page } = tab;
      let requestCount = 0;
      await page.route('**/graphql', async (route) => {
        if (route.request().postData()?.includes(`mutation ${operation}(`) !== true) return route.continue();
        requestCount += 1;
        await (requestCount === 1 ? route.abort('connectionreset') : route.continue());
      });
      await page.locator('#start-call').click();
      for (const each of SIDES) await waitForVideo(page, each);
      await page.locator('#graphql .hang-up').click();
      await waitForNoCall(page);
      await expect.poll(() => requestCount).toBe(2);
    },
  );

  test.for(SIDES)('%s hangs up while it reconnects, and both are online without a call', async (side) => {
    await using proxy = await openTcpProxy(Number(new URL(demo.gateway.url).port));
    await using tab = await openDemo(demo.browser, `http://127.0.0.1:${proxy.port}`);
    const { page } = tab;
    await page.locator('#start-call').click();
    for (const each of SIDES) await waitForVideo(page, each);
    proxy.refuse();
    for (const each of SIDES) await page.locator(`#${each}[data-state=reconnecting]`).waitFor();
    await page.locator(`#${side} .hang-up`).click();
    await page.locator(`#${side} .call`).waitFor({ state: 'hidden' });
    proxy.accept();
    for (const each of SIDES) await waitUntilOnline(page, each);
    await waitForNoCall(page);
    await typeMessage(page, 'legacy', `after ${side} hung up`);
    await waitForText(page, 'graphql', `after ${side} hung up`);
    await page.locator('#start-call').click();
    for (const each of SIDES) await waitForVideo(page, each);
    expect(await page.locator('.note', { hasText: 'Failed' }).allTextContents()).toEqual([]);
  });
});
