import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { findFreePort } from './ports.ts';
import { waitForOutput } from './program.ts';
import { requireProgram } from './installed-programs.ts';

/** A Redis server of one test. It keeps its port of 127.0.0.1 over restarts. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops the process without closing its connections, until `resume`. */
  suspend(): void;
  resume(): void;
}

export async function startRedis(): Promise<RedisServer> {
  const port = await findFreePort();
  let process: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (process === undefined) return;
    const exited = once(process, 'exit');
    // Ends a suspended process, too.
    process.kill('SIGKILL');
    process = undefined;
    await exited;
  };
  const start = async (): Promise<void> => {
    const started = spawn(requireProgram('redis-server'), [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
    ]);
    process = started;
    await waitForOutput(started, /Ready to accept connections/);
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    stop,
    start,
    suspend: () => void process?.kill('SIGSTOP'),
    resume: () => void process?.kill('SIGCONT'),
    [Symbol.asyncDispose]: stop,
  };
}
