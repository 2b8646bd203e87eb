import { describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { createGraphqlClient, connectLegacy } from '../../src/testing/index.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import type { Prometheus } from '../harness/prometheus.ts';
import { startRedis } from '../harness/redis.ts';
import type { Server } from '../harness/server.ts';
import { produceTraffic } from '../harness/traffic.ts';
import { findCodeBlocks, readProjectFile } from '../docs/snippets.ts';
import { startCluster } from './cluster.ts';
import { readSample } from './samples.ts';

// The dashboard, as Prometheus evaluates its queries over two nodes with PostgreSQL and Redis that have traffic. Its scrape
// configuration is that of docs/operations/monitoring.md.

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: { readonly query: string } | string }[];
  };
}

const readDashboard = (): Dashboard => JSON.parse(readSample('grafana/parley.json')) as Dashboard;

/** Reads the scrape configuration of the book, for these nodes. */
async function readScrapeConfig(nodes: readonly Server[]): Promise<object> {
  const [yaml = ''] = findCodeBlocks(await readProjectFile('docs/operations/monitoring.md'), 'yaml');
  const config = yaml
    .replace('<ADMIN_TOKEN>', 'token-of-the-operators')
    .replace(/'node-(\d):4000'/g, (_, index: string) => `'127.0.0.1:${nodes[Number(index) - 1]?.port}'`);
  return { global: { scrape_interval: '1s' }, ...(parse(config) as object) };
}

const useNode = ({ url }: Server): Promise<void> =>
  produceTraffic({
    url,
    // Random e-mail addresses: both nodes have the same accounts.
    createAccount: ({ email: _email, ...values } = {}) =>
      createTestAccount(url, createGraphqlClient(url), values),
    connectLegacy: (options) => connectLegacy(url, options),
  });

/** Returns the queries of the dashboard whose result is not a number, or has no series, or not the labels of its legend. */
async function findEmptyQueries(prometheus: Prometheus, instance: string): Promise<readonly string[]> {
  const empty: string[] = [];
  for (const { title, targets = [] } of readDashboard().panels) {
    for (const { expr, legendFormat } of targets) {
      const query = expr
        .replaceAll('$__rate_interval', '1m')
        .replaceAll('$job', '.*')
        .replaceAll('$instance', instance);
      const legend = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, label = '']) => label);
      const samples = await prometheus.query(query);
      const isFilled = samples.some(
        ({ labels, value }) => Number.isFinite(value) && legend.every((label) => label in labels),
      );
      if (!isFilled) empty.push(`${title}: ${query}`);
    }
  }
  return empty;
}

describe.skipIf(isMissing('prometheus', 'redis-server'))('the dashboard', () => {
  test('shows each node of a cluster, in each panel', { timeout: 180_000 }, async () => {
    await using redis = await startRedis();
    await using cluster = await startCluster({ REDIS_URL: redis.url });
    const nodes = Object.values(cluster.nodes);
    await using prometheus = await startPrometheus(await readScrapeConfig(nodes));
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    for (const instance of ['.*', ...addresses]) {
      await vi.waitFor(
        async () => {
          for (const node of nodes) await useNode(node);
          expect(await findEmptyQueries(prometheus, instance)).toEqual([]);
        },
        { timeout: 60_000, interval: 1_000 },
      );
    }
    const values = await Promise.all(
      readDashboard().templating.list.map(async ({ name, query }) => {
        const text = typeof query === 'string' ? query : query.query;
        const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(text) ?? [];
        return label === ''
          ? [name, text]
          : [name, await prometheus.readLabelValues(selector.replaceAll('$job', '.*'), label)];
      }),
    );
    expect(Object.fromEntries(values)).toEqual({
      DS_PROMETHEUS: 'prometheus',
      job: ['parley'],
      instance: addresses.toSorted(),
    });
  });
});
