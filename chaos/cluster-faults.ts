import { setTimeout as pause } from 'node:timers/promises';
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

async function cutConnections({ query }: Cluster, condition: string): Promise<void> {
  await query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid() and (${condition})`,
  );
}

/** Suspends the node while it has a transaction open. */
async function suspendInTransaction({ victim, query }: Cluster): Promise<void> {
  for (;;) {
    victim.suspend();
    // The transactions of other nodes are over by then.
    const open = await query<{ pid: number }>(
      `select pid from pg_stat_activity, pg_sleep(0.2)
       where state = 'idle in transaction' and state_change < clock_timestamp() - interval '150 ms'`,
    );
    if (open.length > 0) return;
    victim.resume();
    await pause(5);
  }
}
