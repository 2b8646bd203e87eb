import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { requireProgram } from './installed-programs.ts';
import { findFreePort } from './ports.ts';

export interface TurnServer extends AsyncDisposable {
  readonly port: number;
  /** Has it read its certificate again, soon after. */
  reloadCertificate(): void;
}

/** Starts coturn with this configuration, on the loopback interface only. */
export async function startTurnServer(configuration: string): Promise<TurnServer> {
  const port = await findFreePort();
  const dir = await mkdtemp(join(tmpdir(), 'parley-turn-'));
  const config = join(dir, 'turn.conf');
  const settings = {
    'listening-ip': '127.0.0.1',
    'relay-ip': '127.0.0.1',
    'listening-port': port,
    'min-port': 11_000,
    'max-port': 11_999,
    pidfile: join(dir, 'turn.pid'),
    userdb: join(dir, 'turndb'),
    'log-file': 'stdout',
  };
  const flags = ['no-cli', 'allow-loopback-peers'];
  await writeFile(
    config,
    [configuration, ...flags, ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)].join(
      '\n',
    ),
  );
  const server = spawn(requireProgram('turnserver'), ['-c', config], { cwd: dir });
  const exit = once(server, 'exit');
  server.stdout.resume();
  // coturn buffers its output, so only a STUN answer shows that it is ready.
  await vi.waitFor(() => requestStun(port), { timeout: 20_000 });
  return {
    port,
    reloadCertificate: () => void server.kill('SIGUSR2'),
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await exit;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function requestStun(port: number): Promise<void> {
  const args = ['-p', String(port), '127.0.0.1'];
  await promisify(execFile)(requireProgram('turnutils_stunclient'), args, { timeout: 1000 });
}

/** Returns whether an allocation with these credentials relays packets to itself and back. */
export async function isRelayed(port: number, username: string, password: string): Promise<boolean> {
  const args = [
    '-u',
    username,
    '-w',
    password,
    '-p',
    String(port),
    '-y',
    '-n',
    '3',
    '-m',
    '1',
    '-l',
    '64',
    '127.0.0.1',
  ];
  try {
    const { stdout } = await promisify(execFile)(requireProgram('turnutils_uclient'), args, {
      timeout: 15_000,
    });
    return /Total lost packets 0/.test(stdout);
  } catch {
    return false;
  }
}
