import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { untilPrinted } from '../harness/process.ts';
import { openRelay } from '../harness/relay.ts';

/** The program as it is started by npm, which keeps its address and its data over restarts. */
export interface Program extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  start(): Promise<void>;
  /** Ends it: gracefully by SIGTERM, as a crash does by SIGKILL. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** Takes an address for the program, and starts it. */
export async function startProgram(env: Readonly<Record<string, string>> = {}): Promise<Program> {
  const program = await prepareProgram(env);
  await program.start();
  return program;
}

/** Takes an address for the program, which is not started yet. */
export async function prepareProgram(env: Readonly<Record<string, string>> = {}): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const stop = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    const stopped = child;
    child = undefined;
    if (stopped === undefined || stopped.exitCode !== null || stopped.signalCode !== null) return;
    const exited = once(stopped, 'exit');
    stopped.kill(signal);
    await exited;
  };
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    stop,
    async start() {
      child = spawn(process.execPath, ['src/main.ts'], {
        env: {
          PATH: process.env['PATH'] ?? '',
          HOST: '127.0.0.1',
          PORT: String(port),
          DATA_DIR: join(folder, 'data'),
          RATE_LIMITS: 'off',
          ...env,
        },
      });
      await untilPrinted(child, /Parley is running|listening/);
    },
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  await using probe = await openRelay(1);
  return probe.port;
}
