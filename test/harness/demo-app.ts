import { startApp } from '../../src/app.ts';
import type { App, AppOptions } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';

export interface DemoAppOptions extends Pick<AppOptions, 'phone' | 'restart'> {
  readonly env?: Readonly<Record<string, string>>;
}

/** The header with which a page shows that its origin is the gateway's. */
export const PREFLIGHT_HEADERS: Readonly<Record<string, string>> = { 'x-parley-preflight': '1' };

/** Starts the gateway as the program does, with its demo accounts, in memory. */
export function startDemoApp({ env = {}, phone, restart }: DemoAppOptions = {}): Promise<App> {
  const config = readConfig({
    DATA_DIR: 'memory',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'silent',
    ...env,
  });
  return startApp({ config, log: createLogger('silent'), passwordMemoryKib: 8, phone, restart });
}
