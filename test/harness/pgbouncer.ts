import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireProgram } from './installed-programs.ts';
import { findFreePort, waitForPort } from './ports.ts';

/** The ids of an unprivileged user and group: PgBouncer refuses to run as root. */
const UNPRIVILEGED = 65534;

export interface PgBouncer extends AsyncDisposable {
  /** URL of the database behind it. */
  readonly url: string;
}

/** Starts PgBouncer in transaction mode in front of a database. */
export async function startPgBouncer(databaseUrl: string, { poolSize = 5 } = {}): Promise<PgBouncer> {
  const dir = await mkdtemp(join(tmpdir(), 'parley-pgbouncer-'));
  const port = await findFreePort();
  const { hostname, port: serverPort, username, pathname } = new URL(databaseUrl);
  const config = `
    [databases]
    * = host=${hostname} port=${serverPort} user=${username}
    [pgbouncer]
    listen_addr = 127.0.0.1
    listen_port = ${port}
    unix_socket_dir =
    auth_type = any
    pool_mode = transaction
    default_pool_size = ${poolSize}
  `;
  const path = join(dir, 'pgbouncer.ini');
  await writeFile(path, config.replaceAll(/^ +/gm, ''));
  await chmod(dir, 0o755);
  const running = await runPgBouncer(path, port);
  return {
    url: `postgres://${username}@127.0.0.1:${port}${pathname}`,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

/** Runs PgBouncer with a configuration, which others may read, and which listens on the port of 127.0.0.1. */
export async function runPgBouncer(path: string, port: number) {
  const isRoot = process.getuid?.() === 0;
  const child = spawn(requireProgram('pgbouncer'), ['-q', path], {
    stdio: 'ignore',
    ...(isRoot && { uid: UNPRIVILEGED, gid: UNPRIVILEGED }),
  });
  const exited = once(child, 'exit');
  await waitForPort(port);
  return {
    /** Has it read its configuration and its users again, soon after. */
    reload: () => void child.kill('SIGHUP'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
