import { setTimeout as pause } from 'node:timers/promises';
import { lockRows } from '../test/harness/lock-rows.ts';
import type { Cluster, Network } from './cluster.ts';

export interface ClusterFault {
  readonly name: string;
  readonly network: Network;
  /** Time from its injection until it is ended. */
  readonly lastsMs: number;
  inject(cluster: Cluster): Promise<void>;
  /** Ends the fault. Default: it needs no end. */
  end?(cluster: Cluster): Promise<void>;
}

export const CLUSTER_FAULTS: readonly ClusterFault[] = [
  {
    name: 'kill -9 of a node',
    network: 'Redis',
    lastsMs: 500,
    inject: ({ victim }) => victim.kill(),
    end: ({ victim }) => victim.start(),
  },
  {
    name: 'node frozen',
    network: 'Redis',
    lastsMs: 3_000,
    inject: async ({ victim }) => victim.suspend(),
    end: async ({ victim }) => victim.resume(),
  },
  {
    name: 'node frozen in a transaction',
    network: 'Redis',
    lastsMs: 3_000,
    inject: suspendInTransaction,
    end: async ({ victim }) => victim.resume(),
  },
  createPresenceLock(),
  createNodeLock(),
  {
    name: 'network of a node silent',
    network: 'Redis',
    lastsMs: 3_000,
    inject: async ({ victim }) => victim.network.mute(),
    async end({ victim }) {
      victim.network.unmute();
      victim.network.disconnectAll();
    },
  },
  {
    name: 'clock of a node 8 days ahead',
    network: 'Redis',
    lastsMs: 3_000,
    inject: ({ setClock }) => setClock('+8d'),
    end: ({ setClock }) => setClock('+0'),
  },
  {
    name: 'clock of a node an hour behind',
    network: 'Redis',
    lastsMs: 3_000,
    inject: ({ setClock }) => setClock('-1h'),
    end: ({ setClock }) => setClock('+0'),
  },
  {
    name: 'Redis restarted',
    network: 'Redis',
    lastsMs: 1_500,
    inject: ({ redis }) => redis.stop(),
    end: ({ redis }) => redis.start(),
  },
  {
    name: 'Redis frozen',
    network: 'Redis',
    lastsMs: 3_000,
    inject: async ({ redis }) => redis.suspend(),
    end: async ({ redis }) => redis.resume(),
  },
  {
    name: 'PostgreSQL restarted',
    network: 'Redis',
    lastsMs: 500,
    inject: ({ postgres }) => postgres.restart('immediate'),
  },
  {
    name: 'PostgreSQL frozen',
    network: 'LISTEN',
    lastsMs: 3_000,
    inject: ({ postgres }) => postgres.suspend(),
    end: ({ postgres }) => postgres.resume(),
  },
  {
    name: 'LISTEN connections cut',
    network: 'LISTEN',
    lastsMs: 500,
    inject: (cluster) => cutConnections(cluster, "query ilike 'listen%'"),
  },
  {
    name: 'all database connections cut',
    network: 'LISTEN',
    lastsMs: 500,
    inject: (cluster) => cutConnections(cluster, 'true'),
  },
  {
    name: 'the same behind PgBouncer',
    network: 'LISTEN, PgBouncer',
    lastsMs: 500,
    inject: (cluster) => cutConnections(cluster, 'true'),
  },
  {
    name: 'kill -9 of a node, PgBouncer',
    network: 'LISTEN, PgBouncer',
    lastsMs: 500,
    inject: ({ victim }) => victim.kill(),
    end: ({ victim }) => victim.start(),
  },
];

/** Locks the presence of all accounts, as by a forgotten transaction, and kills a node, whose clients connect to others. */
function createPresenceLock(): ClusterFault {
  let lock: AsyncDisposable | undefined;
  return {
    name: 'presence locked, kill -9 of a node',
    network: 'Redis',
    lastsMs: 3_000,
    async inject({ victim, postgres }) {
      lock = await lockRows(postgres.url, 'select from presence for update');
      await victim.kill();
    },
    async end({ victim }) {
      await victim.start();
      await lock?.[Symbol.asyncDispose]();
    },
  };
}

/** Locks the rows of all nodes, as by a forgotten transaction, and cuts connections, which open again meanwhile. */
function createNodeLock(): ClusterFault {
  let lock: AsyncDisposable | undefined;
  return {
    name: 'rows of nodes locked, connections of a node cut',
    network: 'Redis',
    // In a full run longer than a node may be silent.
    lastsMs: 10_000,
    async inject({ victim, postgres }) {
      lock = await lockRows(postgres.url, 'select from nodes for update');
      victim.network.disconnectAll();
    },
    async end({ query, nodes }) {
      const alive =
        await query(`select distinct name from nodes where clock_timestamp() - interval '15 seconds'
        < greatest(seen_at, (select max(seen_at) from heartbeats where node_id = nodes.id))`);
      await lock?.[Symbol.asyncDispose]();
      if (alive.length < nodes.length) throw new Error('A node is taken for dead.');
    },
  };
}

const POLL_MS = 10;
const MAX_WAIT_MS = 10_000;
/** Time in which PostgreSQL has granted a lock that was released. */
const SETTLE_MS = 100;

async function cutConnections({ query }: Cluster, condition: string): Promise<void> {
  await query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid() and (${condition})`,
  );
}

/** Suspends the node while it has a transaction open: one that waits for a lock, and has it when the node is frozen. */
async function suspendInTransaction({ victim, query, postgres }: Cluster): Promise<void> {
  const findSession = (condition: string): Promise<readonly object[]> =>
    query(
      `select pid from pg_stat_activity where application_name like 'parley ${victim.pid}@%' and ${condition}`,
    );
  for (;;) {
    // In the order in which nodes lock topics.
    await using lock = await lockRows(postgres.url, 'select from topics order by topic for no key update');
    for (
      let waitedMs = 0;
      (await findSession(`wait_event_type = 'Lock'`)).length === 0;
      waitedMs += POLL_MS
    ) {
      if (waitedMs > MAX_WAIT_MS) throw new Error('No transaction of the node waits for a lock.');
      await pause(POLL_MS);
    }
    victim.suspend();
    await lock.release();
    await pause(SETTLE_MS);
    if ((await findSession(`state = 'idle in transaction'`)).length > 0) return;
    // It waited outside a transaction of several statements.
    victim.resume();
  }
}
