import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { pathOf } from '../harness/programs.ts';

const ARGUMENTS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** Chromium and a gateway start in seconds, but not on a machine that does much else. */
export const PATIENT = { timeout: 60_000 };

/** Starts Chromium. Root may not use its sandbox. */
export function openBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? [...ARGUMENTS, '--no-sandbox'] : ARGUMENTS;
  return chromium.launch({ executablePath: pathOf('chromium'), args });
}

/** A tab of its own, with all that goes wrong or out in it. */
export interface Tab extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, and requests to any other host. */
  readonly problems: readonly string[];
  /** Every address asked for, WebSockets too, in order. */
  readonly addresses: readonly string[];
}

export interface TabOptions {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
  /** Whether scripts of the page run. */
  readonly javaScriptEnabled?: boolean;
  /** Does something to the page before it goes anywhere. */
  prepare?(page: Page): Promise<void>;
}

export const LAPTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Opens an address in a tab that shares nothing with others. */
export async function openTab(browser: Browser, url: string, options: TabOptions = {}): Promise<Tab> {
  const { colorScheme = 'light', javaScriptEnabled = true, prepare } = options;
  const { width = LAPTOP.width, height = LAPTOP.height } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, javaScriptEnabled });
  const page = await context.newPage();
  const problems: string[] = [];
  const addresses: string[] = [];
  const home = new URL(url).host;
  const watch = (address: string) => {
    addresses.push(address);
    const { protocol, host } = new URL(address);
    if (protocol !== 'blob:' && protocol !== 'data:' && host !== home)
      problems.push(`another host: ${address}`);
  };
  page.on('request', (request) => watch(request.url()));
  page.on('websocket', (socket) => watch(socket.url()));
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  await prepare?.(page);
  await page.goto(url);
  return { page, problems, addresses, [Symbol.asyncDispose]: () => context.close() };
}
