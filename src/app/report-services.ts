import type { Database } from '../db/database.ts';
import type { Cluster } from '../events/cluster/cluster.ts';
import type { Tails } from '../events/tail.ts';
import type { Metrics } from '../gateway/metrics.ts';
import { LIMITS } from '../services/refusals.ts';
import type { Retention } from '../services/retention.ts';
import { SECURITY_EVENTS } from '../services/security-log.ts';
import type { WallClock } from '../services/wall-clock.ts';

interface Reported {
  readonly database: Database;
  /** Undefined for a single process. */
  readonly cluster: Cluster | undefined;
  readonly retention: Retention;
  readonly clock: WallClock;
  readonly tails: Tails;
  /** Why the node works less well than it should; undefined if it does not. */
  degradation(): string | undefined;
}

/** Sets counters to 0, so that `increase` includes the first occurrence. */
export function initializeLabels({ refusals, securityEvents }: Metrics): void {
  for (const limit of Object.keys(LIMITS)) refusals.inc({ limit }, 0);
  for (const event of Object.keys(SECURITY_EVENTS)) securityEvents.inc({ event }, 0);
}

/** Reports the state of services in metrics, on each scrape. Returns a function that stops it. */
export function reportServices(metrics: Metrics, reported: Reported): () => void {
  const { database, cluster, retention, clock, tails } = reported;
  const { poolSize, poolUse } = database;
  metrics.databaseConnectionsMax.set(poolSize);
  metrics.beforeScrape(() => {
    metrics.databaseConnectionsUsed.set(poolUse.used);
    metrics.databaseStatementsWaiting.set(poolUse.waiting);
    metrics.busConnected.set(cluster?.isConnected === false ? 0 : 1);
    if (cluster !== undefined) reportBus(metrics, cluster);
    metrics.degraded.set(reported.degradation() === undefined ? 0 : 1);
    metrics.clockOffset.set(clock.offsetMs / 1000);
    metrics.logLag.set(tails.lag());
    metrics.retentionSweepAge.set(retention.sweepAgeSeconds);
    metrics.retentionLag.set(retention.lagSeconds);
  });
  return poolUse.onConnected((waitMs) => metrics.databaseWait.observe(waitMs / 1000));
}

function reportBus(metrics: Metrics, { traffic }: Cluster): void {
  for (const direction of ['sent', 'received'] as const) {
    const { messages, bytes } = traffic[direction];
    metrics.busMessages.remove({ direction });
    metrics.busMessages.inc({ direction }, messages);
    metrics.busBytes.remove({ direction });
    metrics.busBytes.inc({ direction }, bytes);
  }
  metrics.busQueuedMessages.set(traffic.queued.messages);
  metrics.busQueuedBytes.set(traffic.queued.bytes);
}
