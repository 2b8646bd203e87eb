import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { waitUntilListening } from '../test/harness/program.ts';
import { findFreePort } from '../test/harness/ports.ts';
import { openTcpProxy } from '../test/harness/tcp-proxy.ts';
import type { TcpProxy } from '../test/harness/tcp-proxy.ts';

const AUTH_SECRET = 'secret of the chaos run';

/** A server process behind a relay, which keeps its address through restarts. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly network: TcpProxy;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it with SIGTERM. Throws unless it exits with 0. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts the server as `npm start` does, with these variables. */
export async function startServer(env: Readonly<Record<string, string>>): Promise<Server> {
  const port = await findFreePort();
  const network = await openTcpProxy(port);
  let child: ChildProcess | undefined;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ended = child;
    child = undefined;
    if (ended === undefined || ended.exitCode !== null) return ended?.exitCode ?? 0;
    ended.kill(signal);
    const [code] = (await once(ended, 'exit')) as [number | null];
    return code;
  };
  const kill = async (): Promise<void> => void (await end('SIGKILL'));
  const stop = async (): Promise<void> => {
    const code = await end('SIGTERM');
    if (code !== 0) throw new Error(`The server exited with ${String(code)} after SIGTERM.`);
  };
  const start = async (): Promise<void> => {
    const started = spawn(process.execPath, ['src/main.ts'], {
      env: {
        HOST: '127.0.0.1',
        PORT: String(port),
        LOG_LEVEL: 'error',
        RATE_LIMITS: 'off',
        EVENT_RETENTION_COUNT: '1000000000',
        PRESENCE_GRACE_MS: '200',
        AUTH_SECRET,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    await waitUntilListening(started);
  };
  await start();
  return {
    url: `http://127.0.0.1:${network.port}`,
    network,
    kill,
    stop,
    start,
    async [Symbol.asyncDispose]() {
      await kill();
      await network[Symbol.asyncDispose]();
    },
  };
}
