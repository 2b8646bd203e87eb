import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { waitUntilListening } from '../test/harness/program.ts';
import { findFreePort } from '../test/harness/ports.ts';
import { openTcpProxy } from '../test/harness/tcp-proxy.ts';
import type { TcpProxy } from '../test/harness/tcp-proxy.ts';

const AUTH_SECRET = 'secret of the chaos run';

/** A server process behind a TCP proxy, whose address survives restarts. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  /** Its address without the proxy. */
  readonly address: string;
  readonly network: TcpProxy;
  /** The id of its process, undefined while it does not run. */
  readonly pid: number | undefined;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it with SIGTERM. Throws unless it exits with 0. */
  stop(): Promise<void>;
  /** Starts it again, with other environment variables if they are given. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Stops its execution with SIGSTOP, until `resume`. */
  suspend(): void;
  resume(): void;
}

/** Starts the server as `npm start` does, with these environment variables. */
export async function startServer(initialEnv: Readonly<Record<string, string>>): Promise<Server> {
  let env = initialEnv;
  const port = await findFreePort();
  const network = await openTcpProxy(port);
  let child: ChildProcess | undefined;
  const endProcess = async (signal: NodeJS.Signals): Promise<number | null> => {
    const current = child;
    child = undefined;
    if (current === undefined || current.exitCode !== null) return current?.exitCode ?? 0;
    current.kill(signal);
    const [code] = (await once(current, 'exit')) as [number | null];
    return code;
  };
  const kill = async (): Promise<void> => void (await endProcess('SIGKILL'));
  const stop = async (): Promise<void> => {
    const code = await endProcess('SIGTERM');
    if (code !== 0) throw new Error(`The server exited with ${String(code)} after SIGTERM.`);
  };
  const start = async (newEnv = env): Promise<void> => {
    env = newEnv;
    const current = spawn(process.execPath, ['src/main.ts'], {
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
    child = current;
    await waitUntilListening(current);
  };
  await start();
  return {
    url: `http://127.0.0.1:${network.port}`,
    address: `127.0.0.1:${port}`,
    network,
    get pid() {
      return child?.pid;
    },
    kill,
    stop,
    start,
    suspend: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await kill();
      await network[Symbol.asyncDispose]();
    },
  };
}
