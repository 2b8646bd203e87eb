import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { startApp } from './app.ts';
import type { App } from './app.ts';
import { ConfigError, readConfig } from './config.ts';
import { createLogger } from './log.ts';
import { StartError } from './start-error.ts';

const STOP_MS = 4_500;
/**
 * How far the heap may grow past what is in use before it is collected. Left to itself V8 lets it reach four times that:
 * memory to pay for, which looks like a leak and hides one. The reasons and figures are in docs/decisions/0009.
 */
const HEAP_GROWTH_PERCENT = 30;

/** What a person at a terminal wants to know first. */
function greeting({ url, demoCreated }: App, embedded: boolean): string {
  const lines = [
    '',
    `  Parley is running.  ${url}`,
    '',
    `  Live demo             ${url}/`,
    `  GraphQL and GraphiQL  ${url}/graphql`,
    `  Socket.IO             ${url}/socket.io/`,
    `  Health, metrics       ${url}/readyz  ${url}/metrics`,
  ];
  if (demoCreated)
    lines.push('', '  Demo accounts         ann@example.com, bob@example.com; password: parley');
  if (embedded) lines.push('', '  Embedded database: for one process. Set DATABASE_URL to run more.');
  return `${lines.join('\n')}\n\n`;
}

async function main(): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
  const config = readConfig(process.env);
  const log = createLogger(config.LOG_LEVEL);
  const app = await startApp({ config, log, demo: true });
  const stop = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'draining');
    setTimeout(() => process.exit(1), STOP_MS).unref();
    app[Symbol.asyncDispose]().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
  // Last: whoever reads it may stop the program at once.
  process.stdout.write(greeting(app, config.DATABASE_URL === undefined));
}

main().catch((error: unknown) => {
  const foreseen = error instanceof ConfigError || error instanceof StartError;
  process.stderr.write(`${foreseen ? error.message : inspect(error)}\n`);
  process.exitCode = 1;
});
