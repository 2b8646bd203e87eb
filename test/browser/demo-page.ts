import type { Browser, Page } from 'playwright-core';
import { openTab } from './browser.ts';
import type { Tab, TabOptions } from './browser.ts';

export type Side = 'legacy' | 'graphql';
export const SIDES = ['legacy', 'graphql'] as const;

/** Opens the page and waits until both of its clients are connected. */
export async function openDemo(browser: Browser, url: string, options?: TabOptions): Promise<Tab> {
  const tab = await openTab(browser, `${url}/`, options);
  for (const side of SIDES) await waitUntilOnline(tab.page, side);
  return tab;
}

const waitForState = (page: Page, side: Side, state: string) =>
  page.locator(`#${side}[data-state=${state}]`).waitFor({ state: 'attached' });
export const waitUntilOnline = (page: Page, side: Side) => waitForState(page, side, 'online');
export const waitUntilOffline = (page: Page, side: Side) => waitForState(page, side, 'offline');
export const findComposer = (page: Page, side: Side) => page.locator(`#${side} .composer label input`);
export const readTexts = (page: Page, side: Side) =>
  page.locator(`#${side} .message .text`).allTextContents();
export const waitForText = (page: Page, side: Side, text: string) =>
  page.locator(`#${side}`).getByText(text, { exact: true }).first().waitFor();

export async function typeMessage(page: Page, side: Side, text: string): Promise<void> {
  await findComposer(page, side).fill(text);
  await findComposer(page, side).press('Enter');
}

/** Returns the texts that each side shows after the first `since`. */
export async function readNewTexts(page: Page, since: number): Promise<Record<Side, string[]>> {
  const [legacy, graphql] = await Promise.all([readTexts(page, 'legacy'), readTexts(page, 'graphql')]);
  return { legacy: legacy.slice(since), graphql: graphql.slice(since) };
}
