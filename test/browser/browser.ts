import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { requireProgram } from '../harness/installed-programs.ts';

const CHROMIUM_ARGUMENTS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** Chromium and a gateway start slowly on a busy machine. */
export const BROWSER_TIMEOUT = { timeout: 60_000 };

/** Starts Chromium. Root cannot use its sandbox. */
export function openBrowser(flags: readonly string[] = []): Promise<Browser> {
  const args = [...CHROMIUM_ARGUMENTS, ...flags, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];
  return chromium.launch({ executablePath: requireProgram('chromium'), args });
}

/** A tab that records problems and requests. */
export interface Tab extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, and requests to any other host. */
  readonly problems: readonly string[];
  /** Every requested address, including WebSockets, in order. */
  readonly addresses: readonly string[];
}

export interface TabOptions {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
  /** Whether scripts are enabled. */
  readonly javaScriptEnabled?: boolean;
  /** Prepares the page before it navigates. */
  prepare?(page: Page): Promise<void>;
}

export const DESKTOP = { width: 1440, height: 900 };
export const LAPTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Opens an address in a tab with a browser context of its own. */
export async function openTab(browser: Browser, url: string, options: TabOptions = {}): Promise<Tab> {
  const { colorScheme = 'light', javaScriptEnabled = true, prepare } = options;
  const { width = LAPTOP.width, height = LAPTOP.height } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, javaScriptEnabled });
  const page = await context.newPage();
  const problems: string[] = [];
  const addresses: string[] = [];
  const ownHost = new URL(url).host;
  const recordAddress = (address: string) => {
    addresses.push(address);
    const { protocol, host } = new URL(address);
    if (protocol !== 'blob:' && protocol !== 'data:' && host !== ownHost)
      problems.push(`another host: ${address}`);
  };
  page.on('request', (request) => recordAddress(request.url()));
  page.on('websocket', (socket) => recordAddress(socket.url()));
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  await prepare?.(page);
  await page.goto(url);
  return { page, problems, addresses, [Symbol.asyncDispose]: () => context.close() };
}
