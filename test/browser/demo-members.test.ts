import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { SIDES, waitForText } from './demo-page.ts';
import { describeDemo } from './demo-suite.ts';

const clickButton = (page: Page, action: string, name: string) =>
  page.locator(`#${action}`).getByRole('button', { name, exact: true }).click();

const waitForEvent = (page: Page, name: string) =>
  page.locator('#events b').getByText(name, { exact: true }).first().waitFor();

describeDemo('devices and members on the page', [], (demo) => {
  test('a device is added, speaks to both sides and is removed, also after a reload', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    await clickButton(page, 'device', 'Add');
    for (const name of ['DeviceAdded', 'DeviceAccessChanged']) await waitForEvent(page, name);
    await clickButton(page, 'device', 'Speak');
    for (const side of SIDES) await waitForText(page, side, 'Somebody is at the door.');
    await page.reload();
    await clickButton(page, 'device', 'Remove');
    await waitForEvent(page, 'DeviceRemoved');
    await clickButton(page, 'device', 'Add');
    await clickButton(page, 'device', 'Remove');
    await page.locator('#device').getByRole('button', { name: 'Add', exact: true }).waitFor();
    expect(tab.problems).toEqual([]);
  });

  test('Bob is invited to a second conversation and kicked from it', async () => {
    await using tab = await demo.open();
    const { page } = tab;
    await clickButton(page, 'side-room', 'Invite Bob');
    await waitForEvent(page, 'ParticipantJoined');
    await page.locator('#legacy-frames li', { hasText: '"event":"invite"' }).waitFor();
    await page
      .locator('#legacy-frames li.sent, #legacy-frames .sent', { hasText: 'join_conversation' })
      .last()
      .waitFor();
    await clickButton(page, 'side-room', 'Kick Bob');
    await page.locator('#legacy-frames li', { hasText: '"event":"kick"' }).waitFor();
    await waitForText(page, 'graphql', 'The side room ended: DELETED.');
    await page.locator('#side-room').getByRole('button', { name: 'Invite Bob' }).waitFor();
    expect(tab.problems).toEqual([]);
  });
});
