import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { openPostgresNotifier } from '../db/notify.ts';
import type { Bus, Listener } from '../events/bus.ts';
import { connectCluster } from '../events/cluster/cluster.ts';
import type { Cluster, ClusterOptions } from '../events/cluster/cluster.ts';
import { openRedisNotifier } from '../events/cluster/redis.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import { describeUrl } from './database.ts';

/** Connects the buses of nodes that share a database, through it or through Redis. */
export async function joinCluster(
  { REDIS_URL, DATABASE_LISTEN_URL }: Config,
  { url, canListen }: Database,
  parts: Pick<ClusterOptions, 'bus' | 'tails' | 'log' | 'nodeId'>,
): Promise<Cluster | undefined> {
  if (url === undefined) return undefined;
  if (REDIS_URL === undefined && !canListen)
    parts.log.warn(
      'LISTEN may not work through a pooler: set DATABASE_LISTEN_URL to the database without the pooler, or REDIS_URL',
    );
  if (REDIS_URL === undefined)
    return connectCluster({ ...parts, url: DATABASE_LISTEN_URL ?? url, open: openPostgresNotifier });
  return requireForStartup(
    `Cannot connect to Redis${describeUrl(REDIS_URL)} (REDIS_URL)`,
    connectCluster({ ...parts, url: REDIS_URL, open: openRedisNotifier }),
  );
}

/** Returns a bus that passes notices of other nodes to the listener before its subscribers. */
export const withReceiveListener = (bus: Bus, listener: Listener): Bus => ({
  ...bus,
  receive(notice) {
    listener(notice);
    return bus.receive(notice);
  },
});
