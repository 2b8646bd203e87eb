import type { IncomingMessage, ServerResponse } from 'node:http';
import { getHeapStatistics } from 'node:v8';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Metric } from 'prom-client';
import type { EndCount } from '../live-connections.ts';
import { createCollectors } from './collectors.ts';

type Update = () => void | Promise<void>;

/** The metrics of a node. Every label has a bounded set of values. */
export interface Metrics extends ReturnType<typeof createCollectors> {
  /** Registers an update of metrics that runs on each scrape, so that keeping them costs nothing in between. */
  beforeScrape(update: Update): void;
  /** Returns how many connections ended, by transport and reason, without those that none ended for. */
  countEnds(): Promise<readonly EndCount[]>;
  /** Handles `GET /metrics`, in the text format of Prometheus. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

let ofProcess: Registry | undefined;

/** Returns the metrics of the process, which its gateways share: prom-client never frees what it observes them with. */
function processMetrics(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const updates: Update[] = [];
  for (const metric of processMetrics().getMetricsAsArray())
    registry.registerMetric(metric as unknown as Metric);
  const collectors = createCollectors(registry);
  collectors.buildInfo.set({ version, node_version: process.version }, 1);
  collectors.heapLimit.set(getHeapStatistics().heap_size_limit);
  return {
    ...collectors,
    beforeScrape: (update) => void updates.push(update),
    async countEnds() {
      const { values } = await collectors.connectionEnds.get();
      return values
        .filter(({ value }) => value > 0)
        .map(({ labels, value }) => ({ ...(labels as Omit<EndCount, 'count'>), count: value }));
    },
    async handle(_request, response) {
      await Promise.all(updates.map(async (update) => update()));
      const text = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(text);
    },
  };
}
