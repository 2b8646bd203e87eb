import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { startTestApp } from '../harness/app.ts';
import { measureMemory } from '../harness/heap.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { ROOT } from '../harness/program.ts';
import { isTargetLabel, matches, parseQuery, parseSeries } from '../harness/promql.ts';
import type { Series } from '../harness/promql.ts';
import { produceTraffic } from '../harness/traffic.ts';

// The dashboard and the alert rules of deploy/, against the metrics of a gateway that has had traffic.

const ALERTS = join(ROOT, 'deploy/prometheus/alerts.yml');
const DASHBOARD = join(ROOT, 'deploy/grafana/parley.json');

/** Series that Prometheus itself records of each target. */
const SYNTHETIC: readonly Series[] = [{ name: 'up', labels: {} }];

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

interface Panel {
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
}

const readAlerts = async (): Promise<readonly Alert[]> =>
  (parse(await readFile(ALERTS, 'utf8')) as { groups: { rules: Alert[] }[] }).groups.flatMap(
    ({ rules }) => rules,
  );

const readDashboard = async (): Promise<Dashboard> =>
  JSON.parse(await readFile(DASHBOARD, 'utf8')) as Dashboard;

let series: readonly Series[] = [];

beforeAll(async () => {
  await using app = await startTestApp();
  await produceTraffic(app);
  const readMetrics = async () => (await fetch(`${app.url}/metrics`)).text();
  // Collects garbage, so that there are figures of it.
  measureMemory();
  await vi.waitFor(
    async () => expect(await readMetrics()).toContain('nodejs_gc_duration_seconds_sum'),
    10_000,
  );
  series = [...parseSeries(await readMetrics()), ...SYNTHETIC];
});

/** Throws unless the query is valid and each of its selectors has series with all labels that it uses. */
function checkQuery(query: string): void {
  const { selectors, groupings } = parseQuery(query);
  expect(selectors, query).not.toEqual([]);
  const found = selectors.flatMap((selector) => {
    const matched = series.filter((each) => matches(selector, each));
    expect(matched, `${selector.name} of ${query} has data`).not.toEqual([]);
    return matched;
  });
  for (const label of groupings.filter((each) => !isTargetLabel(each)))
    expect(
      found.some(({ labels }) => label in labels),
      `the label ${label} of ${query} exists`,
    ).toBe(true);
  if (!query.includes('histogram_quantile')) return;
  expect(groupings).toContain('le');
  expect(selectors.every(({ name }) => name.endsWith('_bucket'))).toBe(true);
}

test('a query with an unknown metric, an unknown label or a syntax error is found', () => {
  checkQuery('sum by (transport) (rate(parley_operations_total{transport="http"}[5m]))');
  expect(() => checkQuery('sum(rate(parley_operation_total[5m]))')).toThrow('has data');
  expect(() => checkQuery('parley_operations_total{transport="smtp"}')).toThrow('has data');
  expect(() => checkQuery('sum by (transports) (parley_operations_total)')).toThrow('exists');
  expect(() => checkQuery('sum by (transport (parley_operations_total)')).toThrow('Syntax error');
});

describe('alerts', () => {
  test('query existing metrics, and have a severity and a run book', async () => {
    const alerts = await readAlerts();
    expect(alerts.length).toBeGreaterThan(15);
    for (const { alert, expr, labels, annotations } of alerts) {
      checkQuery(expr);
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\.$/);
      expect(annotations.runbook_url).toBe(`docs/operations/runbooks.md#${alert.toLowerCase()}`);
    }
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  });

  test.skipIf(isMissing('promtool'))('are accepted by Prometheus', () => {
    const { stdout, stderr, status } = spawnSync(requireProgram('promtool'), ['check', 'rules', ALERTS], {
      encoding: 'utf8',
    });
    expect(status, stdout + stderr).toBe(0);
  });
});

describe('the dashboard', () => {
  test('has data in each panel', async () => {
    const { panels } = await readDashboard();
    const charts = panels.filter(({ type }) => type !== 'row');
    expect(charts.length).toBeGreaterThan(25);
    for (const { title, description, datasource, targets = [] } of charts) {
      expect(targets, title).not.toEqual([]);
      expect(description, title).toMatch(/\.$/);
      expect(datasource?.uid).toBe('${DS_PROMETHEUS}');
      for (const { expr, legendFormat } of targets) {
        checkQuery(expr);
        const { groupings } = parseQuery(expr);
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(groupings).toContain(label);
      }
    }
  });

  test('has variables for the data source, jobs and instances', async () => {
    const { templating } = await readDashboard();
    expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['DS_PROMETHEUS', 'datasource'],
      ['job', 'query'],
      ['instance', 'query'],
    ]);
  });

  test('shows every metric', async () => {
    const { panels } = await readDashboard();
    const text = JSON.stringify(panels);
    const names = series.map(({ name }) => name.replace(/_(bucket|sum|count)$/, ''));
    const shown = new Set(names.filter((name) => name.startsWith('parley_')));
    expect([...shown].filter((name) => !text.includes(name))).toEqual([]);
  });
});
