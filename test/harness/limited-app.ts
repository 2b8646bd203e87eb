import { startApp } from '../../src/app.ts';
import type { App, AppOptions } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';

/** Starts a server with the limits of production, which those of other tests have switched off. */
export const startLimitedApp = (options: Pick<AppOptions, 'database' | 'operationBudgets'>): Promise<App> =>
  startApp({
    config: readConfig({
      DATA_DIR: 'memory',
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'silent',
      DEMO: 'off',
    }),
    log: createLogger('silent'),
    passwordMemoryKib: 8,
    ...options,
  });
