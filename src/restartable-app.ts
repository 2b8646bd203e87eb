import type { App, AppOptions } from './app.ts';
import { startApp } from './app.ts';
import type { Config } from './config.ts';

/**
 * Starts the gateway so that the demo on its page can restart it: in this process it drains, closes everything, and starts
 * again on the same port. A restart that fails ends the process, as a start that fails does.
 */
export async function startRestartableApp(options: Omit<AppOptions, 'restart'>): Promise<App> {
  let isStopping = false;
  let restarting: Promise<void> | undefined;
  const start = (config: Config): Promise<App> => startApp({ ...options, config, restart });
  const restart = (): void => {
    restarting ??= replaceApp().finally(() => (restarting = undefined));
  };
  const replaceApp = async (): Promise<void> => {
    const app = await starting;
    const stoppedAt = performance.now();
    await app[Symbol.asyncDispose]();
    if (isStopping) return;
    starting = start({ ...options.config, PORT: app.port });
    await starting;
    options.log.info({ ms: Math.round(performance.now() - stoppedAt) }, 'restarted by the demo');
  };
  let starting = start(options.config);
  return {
    ...(await starting),
    async [Symbol.asyncDispose]() {
      isStopping = true;
      await restarting;
      await (await starting)[Symbol.asyncDispose]();
    },
  };
}
