import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findCommand } from '../test/harness/commands.ts';
import type { PostgresServer } from '../test/harness/postgres.ts';

/** Size of the event that Parley stores for a message of 200 characters, without its envelope. */
const EVENT_BYTES = 700;
const PGBENCH = findCommand('pgbench');
const SCRIPT = fileURLToPath(new URL('peers/send.sql', import.meta.url));
/** Numbers of connections, of which the best counts. */
const CONNECTIONS = [1, 16, 50, 200];
const TRY_SECONDS = 2;

export interface PgbenchOptions {
  readonly connections: number;
  /** Connections that write to the same conversation. */
  readonly perConversation: number;
  readonly seconds: number;
}

export const isPgbenchInstalled = PGBENCH !== undefined;

/** Stores messages, one transaction for each, from so many connections. Returns messages per second; NaN without pgbench. */
export async function runPgbench(
  { port }: PostgresServer,
  { connections, perConversation, seconds }: PgbenchOptions,
): Promise<number> {
  if (PGBENCH === undefined) return NaN;
  const target = `-h 127.0.0.1 -p ${port} -U postgres`;
  const load = `-n -M prepared -c ${connections} -j ${Math.min(connections, 2)} -T ${seconds}`;
  const options =
    `${target} ${load} -D per_conversation=${perConversation} -D event_bytes=${EVENT_BYTES} -f`.split(' ');
  const { stdout } = await promisify(execFile)(PGBENCH, [...options, SCRIPT, 'postgres']);
  return Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
}

/** Returns the number of connections with which pgbench stores the most messages a second. */
export async function findBestConnections(
  postgres: PostgresServer,
  perConversation: number,
): Promise<number> {
  let [best, bestPerSecond] = [CONNECTIONS[0] ?? 1, 0];
  for (const connections of CONNECTIONS) {
    const perSecond = await runPgbench(postgres, { connections, perConversation, seconds: TRY_SECONDS });
    if (perSecond > bestPerSecond) [best, bestPerSecond] = [connections, perSecond];
  }
  return best;
}
