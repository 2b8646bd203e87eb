import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createDataFolder } from './data-folder.ts';
import { findFreePort } from './ports.ts';
import { PROGRAM_ENV, ROOT, SERVER_COMMAND, waitUntilListening } from './program.ts';
import type { Command } from './program.ts';

/** The program in its own process, with its demo accounts. Its address and data survive restarts. */
export interface Server extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Resolves once it listens. */
  start(): Promise<void>;
  /** Stops the process gracefully by SIGTERM, or as in a crash by SIGKILL. Resolves once it has exited. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Returns what all its processes have printed. */
  printed(): string;
}

export async function startServer(env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const server = await prepareServer(env);
  await server.start();
  return server;
}

/** An installation of the program. Default: this checkout. */
export interface Installation {
  readonly folder: string;
  /** Starts it, in the folder. */
  readonly command: Command;
}

/** Reserves an address and a data folder for a server that the test starts later. */
export async function prepareServer(
  env: Readonly<Record<string, string>> = {},
  installation: Installation = { folder: ROOT, command: SERVER_COMMAND },
): Promise<Server> {
  const folder = await createDataFolder();
  const port = await findFreePort();
  let child: ChildProcess | undefined;
  let printed = '';
  const stop = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill(signal);
    await exited;
  };
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    stop,
    printed: () => printed,
    async start() {
      const [program, ...args] = installation.command;
      child = spawn(program, args, {
        cwd: installation.folder,
        env: {
          ...PROGRAM_ENV,
          HOST: '127.0.0.1',
          PORT: String(port),
          DATA_DIR: folder.path,
          LOG_LEVEL: 'error',
          RATE_LIMITS: 'off',
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
      await waitUntilListening(child);
    },
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL');
      await folder[Symbol.asyncDispose]();
    },
  };
}
