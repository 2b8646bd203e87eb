import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { parseArguments } from './arguments.ts';
import type { App } from './app.ts';
import type { Command } from './commands/commands.ts';
import { VARIABLES } from './config-variables.ts';
import { isGraphiqlOn, readConfig } from './config.ts';
import type { Config } from './config.ts';
import { findLanAddress } from './lib/lan-address.ts';
import { nodeFields } from './log.ts';
import type { Logger } from './log.ts';
import { findMisspeltSettings } from './misspelt-settings.ts';
import { openOutput, writeFailure } from './output.ts';
import type { Output } from './output.ts';
import { VERSION } from './version.ts';

/** Time for the drain, beside DRAIN_DELAY_MS and DRAIN_SPREAD_MS; after it the program exits anyway. */
const STOP_TIMEOUT_MS = 4_500;
/** npm forwards a Ctrl-C that the terminal already sent to the process group: the program receives it twice. */
const REPEATED_SIGNAL_MS = 1_000;

function formatBanner({ url, demo, database }: App, config: Config): string {
  const lines = [
    '',
    `  Parley is running.  ${url}`,
    '',
    `  Live demo             ${url}/`,
    isGraphiqlOn(config)
      ? `  GraphQL and GraphiQL  ${url}/graphql`
      : `  GraphQL               ${url}/graphql`,
    `  Socket.IO             ${url}/socket.io/`,
    `  Health, metrics       ${url}/readyz  ${url}/metrics`,
  ];
  if (demo.isLoginAllowed && demo.accounts.length > 0)
    lines.push('', `  Demo accounts         ${demo.accounts.join(', ')}; password: ${demo.password}`);
  if (!hasTurnServer(config)) lines.push('', `  Calls                 ${NO_TURN_SERVER}.`);
  if (database.startsWith('embedded'))
    lines.push('', '  Embedded database: for one process. Set DATABASE_URL to run more.');
  return `${lines.join('\n')}\n\n`;
}

function logDemo({ accounts, isLoginAllowed }: App['demo'], log: Logger): void {
  if (accounts.length === 0) return;
  if (isLoginAllowed) log.warn({ accounts }, 'demo accounts have their published password');
  else log.warn({ accounts }, 'demo accounts are locked: HOST is not a loopback address, or DEMO is off');
}

const NO_TURN_SERVER =
  'the default STUN and TURN hosts are not yours, and no TURN server accepts the credentials until TURN_URLS and TURN_SECRET are set';

/** Whether calls can use a TURN server of the operator. */
const hasTurnServer = ({ TURN_URLS, TURN_SECRET }: Config): boolean =>
  TURN_SECRET !== undefined && TURN_URLS.join() !== VARIABLES.TURN_URLS.default;

async function run(): Promise<void> {
  // The files of DATA_DIR and MEDIA_DIR are for this user only, also those that libraries create.
  process.umask(0o077);
  const config = readConfig(process.env);
  const nodeId = randomUUID();
  const output = await openOutput(config.LOG_LEVEL, nodeFields(nodeId, config));
  try {
    await serve(config, nodeId, output);
  } catch (error) {
    output.abandon();
    throw error;
  }
}

async function serve(config: Config, nodeId: string, output: Output): Promise<void> {
  logProcessEvents(output);
  for (const misspelt of findMisspeltSettings(process.env, Object.keys(VARIABLES)))
    output.log.warn(misspelt, 'unknown setting, perhaps misspelt');
  for (const name of ['AUTH_SECRET', 'AUTH_DEVICE_SECRET'] as const) {
    const [only, ...others] = config[name] ?? [];
    if (others.length === 0 && only?.includes(',') === true)
      output.log.warn({ name }, 'secret with a comma is not a list: each part of a list needs 16 characters');
  }
  // Imported late: --help and configuration errors must not wait for it.
  const starting = import('./restartable-app.ts').then(({ startRestartableApp }) =>
    startRestartableApp({ config, nodeId, log: output.log, phone: { findAddress: () => findLanAddress() } }),
  );
  const drainMs = config.DRAIN_DELAY_MS + config.DRAIN_SPREAD_MS;
  const stopping = stopOnSignal(starting, drainMs + STOP_TIMEOUT_MS, output);
  const app = await starting;
  if (stopping.aborted) return;
  const { url, address, port, database } = app;
  output.listening({ version: VERSION, nodeId, database, url, address, port }, formatBanner(app, config));
  if (!hasTurnServer(config) && !process.stdout.isTTY) output.log.info(NO_TURN_SERVER);
  if (!app.demo.isLoginAllowed || !process.stdout.isTTY) logDemo(app.demo, output.log);
  await app.deps.mediaInspections?.check();
}

/** Logs warnings and uncaught exceptions, which Node would write to standard error as text. */
function logProcessEvents({ log, abandon }: Output): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.warn({ err: warning }, 'process warning'));
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'uncaught exception');
    abandon();
    process.exit(1);
  });
}

/**
 * Drains on the first SIGTERM, SIGINT or SIGHUP and exits with 0; a second one, or a drain that takes longer than
 * `timeoutMs`, exits immediately. The returned signal is aborted when the drain begins.
 */
function stopOnSignal(starting: Promise<App>, timeoutMs: number, { log, abandon }: Output): AbortSignal {
  const stopping = new AbortController();
  let stoppedAt = 0;
  let isServing = false;
  starting.then(
    () => (isServing = true),
    () => undefined,
  );
  const exit = (code: number, reason: string): never => {
    if (code !== 0) log.error({ reason }, 'drain aborted');
    abandon();
    process.exit(code);
  };
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      if (performance.now() - stoppedAt > REPEATED_SIGNAL_MS) exit(1, signal);
      return;
    }
    stopping.abort();
    stoppedAt = performance.now();
    log.info({ signal }, 'draining');
    setTimeout(() => exit(isServing ? 1 : 0, 'timeout'), timeoutMs).unref();
    starting.then(
      (app) =>
        app[Symbol.asyncDispose]().then(
          () => process.exit(0),
          (error: unknown) => {
            log.error({ err: error }, 'drain failed');
            abandon();
            process.exit(1);
          },
        ),
      () => undefined,
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
  return stopping.signal;
}

async function runCommand({ load }: Command, args: readonly string[]): Promise<void> {
  try {
    const { run: runLoaded } = await load();
    process.stdout.write(await runLoaded(args, process.env));
  } catch (error) {
    rethrowIfIncomplete(error);
    process.stderr.write(`${error instanceof Error ? error.message : inspect(error)}\n`);
    process.exitCode = 1;
  }
}

/** For a missing package, main.cjs prints a hint. */
function rethrowIfIncomplete(error: unknown): void {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') throw error;
}

// A closed pipe (EPIPE) must not end the program.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const invocation = parseArguments(process.argv.slice(2), {
  version: VERSION,
  launcher: import.meta.filename.endsWith('.ts') ? 'npm' : 'bin',
});
if (invocation.kind === 'output') {
  (invocation.isError ? process.stderr : process.stdout).write(`${invocation.text}\n`);
  process.exitCode = invocation.isError ? 2 : 0;
} else if (invocation.kind === 'command') {
  await runCommand(invocation.command, invocation.args);
} else {
  await run().catch((error: unknown) => {
    rethrowIfIncomplete(error);
    writeFailure(error);
    process.exit(1);
  });
}
