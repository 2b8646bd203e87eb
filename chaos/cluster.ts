import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { requireProgram } from '../test/harness/installed-programs.ts';
import { startPgBouncer } from '../test/harness/pgbouncer.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import type { PostgresServer } from '../test/harness/postgres.ts';
import { startRedis } from '../test/harness/redis.ts';
import type { RedisServer } from '../test/harness/redis.ts';
import { startBalancer } from './balancer.ts';
import { createFolder } from './fixtures.ts';
import { startServer } from './server.ts';
import type { Server } from './server.ts';

/** How the nodes are connected to each other, and to the database. */
export type Network = 'Redis' | 'LISTEN' | 'LISTEN, PgBouncer';

/** Three nodes behind nginx that share PostgreSQL. Faults hit the last node, which has a clock of its own. */
export interface Cluster extends AsyncDisposable {
  /** The address of the balancer. */
  readonly url: string;
  readonly nodes: readonly Server[];
  readonly victim: Server;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  /** Restarts the nodes with this network, unless they have it. */
  useNetwork(network: Network): Promise<void>;
  /** Sets the clock of the victim: `+8d`, `-1h`, `+0`. */
  setClock(offset: string): Promise<void>;
  /** Runs a statement on a connection of its own. */
  query<Row extends object>(text: string): Promise<Row[]>;
}

const NODES = 3;

export async function startCluster(): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const redis = stack.use(await startRedis());
  const clockFile = join(await createFolder(stack), 'clock');
  const setClock = (offset: string): Promise<void> => writeFile(clockFile, `${offset}\n`);
  await setClock('+0');
  const mediaDir = await createFolder(stack);
  const bouncer = stack.use(await startPgBouncer(postgres.url, { poolSize: 30 }));
  const settings = (index: number, network: Network): Record<string, string> => ({
    ...(network === 'LISTEN, PgBouncer'
      ? { DATABASE_URL: bouncer.url, DATABASE_LISTEN_URL: postgres.url }
      : { DATABASE_URL: postgres.url }),
    MEDIA_DIR: mediaDir,
    NODE_NAME: `node-${index + 1}`,
    ...(network === 'Redis' && { REDIS_URL: redis.url }),
    ...(index === NODES - 1 && clockSettings(clockFile)),
  });
  const nodes: Server[] = [];
  for (let index = 0; index < NODES; index += 1)
    nodes.push(stack.use(await startServer(settings(index, 'Redis'))));
  const balancer = stack.use(
    await startBalancer(
      nodes.map(({ network }, index) => ({
        name: `node-${index + 1}`,
        address: `127.0.0.1:${network.port}`,
      })),
    ),
  );
  let current: Network = 'Redis';
  const owned = stack.move();
  return {
    url: balancer.url,
    nodes,
    victim: nodes.at(-1) as Server,
    postgres,
    redis,
    setClock,
    async useNetwork(network) {
      if (network === current) return;
      current = network;
      await Promise.all(nodes.map((node) => node.stop()));
      for (const [index, node] of nodes.entries()) await node.start(settings(index, network));
    },
    async query<Row extends object>(text: string) {
      const client = new Client({ connectionString: postgres.url });
      await client.connect();
      try {
        return (await client.query<Row>(text)).rows;
      } finally {
        await client.end();
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Preloads libfaketime: its `faketime` command would run the program as a child, which signals do not reach. */
function clockSettings(clockFile: string): Record<string, string> {
  const { stdout } = spawnSync(requireProgram('faketime'), ['-m', '+0', 'env'], { encoding: 'utf8' });
  return {
    LD_PRELOAD: /^LD_PRELOAD=(.*)$/m.exec(stdout)?.[1] ?? '',
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
