import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { DEPLOY, readSample } from './samples.ts';

// The alert rules, and the rates of the dashboard, as Prometheus evaluates them for a node that has only one kind of traffic.

const RULES = join(DEPLOY, 'prometheus', 'alerts.yml');
const TARGET = 'job="parley",instance="a:4000"';

/** Series of a node, by name and labels without those of the target: values each minute, in the notation of promtool. */
type InputSeries = Readonly<Record<string, string>>;

/** 600 operations a minute of one kind, and none of the other, whose series do not exist. */
const TRAFFIC = {
  GraphQL: {
    'parley_operation_duration_seconds_count{operation="query",transport="http",outcome="ok"}': '0+500x120',
    'parley_operation_duration_seconds_count{operation="query",transport="http",outcome="error"}':
      '0+100x120',
    'parley_operation_duration_seconds_bucket{operation="query",transport="http",le="1"}': '0+100x120',
    'parley_operation_duration_seconds_bucket{operation="query",transport="http",le="5"}': '0+600x120',
    'parley_operation_duration_seconds_bucket{operation="query",transport="http",le="+Inf"}': '0+600x120',
  },
  legacy: {
    'parley_legacy_event_duration_seconds_count{channel="message",outcome="ok"}': '0+500x120',
    'parley_legacy_event_duration_seconds_count{channel="message",outcome="error"}': '0+100x120',
    'parley_legacy_event_duration_seconds_bucket{channel="message",le="1"}': '0+100x120',
    'parley_legacy_event_duration_seconds_bucket{channel="message",le="5"}': '0+600x120',
    'parley_legacy_event_duration_seconds_bucket{channel="message",le="+Inf"}': '0+600x120',
  },
} as const satisfies Record<string, InputSeries>;

/** What fires alerts, and does so whatever traffic there is. A restarted node has no other series. */
const FAULTS: Readonly<Record<string, InputSeries>> = {
  ParleyDown: { up: '0x120' },
  ParleyNotReady: { parley_ready: '0x120' },
  ParleyRestarting: { process_start_time_seconds: '0+1x120' },
  ParleyVersionsDiffer: {
    'parley_build_info{version="1"}': '1x120',
    'parley_build_info{version="2"}': '1x120',
  },
  ParleyUnavailableErrors: {
    'parley_errors_total{transport="http",code="UNAVAILABLE"}': '0+50x120',
    'parley_errors_total{transport="socket.io",code="UNAVAILABLE"}': '0+50x120',
  },
  ParleyInternalErrors: { 'parley_errors_total{transport="http",code="INTERNAL"}': '0x100 1x20' },
  ParleyDeliverySlow: {
    'parley_delivery_delay_seconds_bucket{le="1"}': '0x120',
    'parley_delivery_delay_seconds_bucket{le="5"}': '0+10x120',
    'parley_delivery_delay_seconds_bucket{le="+Inf"}': '0+10x120',
  },
  ParleyLogLag: { parley_log_lag_events: '2000x120' },
  ParleyDatabasePoolExhausted: {
    parley_database_statements_waiting: '1x120',
    parley_database_connections_used: '10x120',
    parley_database_connections_max: '10x120',
  },
  ParleyBusDisconnected: { parley_bus_connected: '0x120' },
  ParleyBusBacklog: { parley_bus_queued_messages: '501x120' },
  ParleyClockOff: { parley_clock_offset_seconds: '-3x120' },
  ParleyEventLoopSlow: { nodejs_eventloop_lag_p99_seconds: '0.3x120' },
  ParleyHeapNearLimit: { nodejs_heap_size_used_bytes: '90x120', parley_heap_limit_bytes: '100x120' },
  ParleyConnectionsNearLimit: { parley_tcp_connections: '95x120', parley_tcp_connections_max: '100x120' },
  ParleyFilesNearLimit: { process_open_fds: '95x120', process_max_fds: '100x120' },
  ParleySlowReaders: { 'parley_connection_ends_total{transport="sse",reason="SLOW"}': '0+10x120' },
  ParleyRefusals: { 'parley_refusals_total{limit="rate"}': '0+600x120' },
  ParleyLoginsRejected: { 'parley_security_events_total{event="login failed"}': '0+100x120' },
  ParleyRetentionStalled: { parley_retention_sweep_age_seconds: '4000x120' },
  ParleyRetentionBehind: { parley_retention_lag_seconds: '90000x120' },
};

/** Alerts about the duration of one kind of traffic, of which there is only that kind. */
const OF_TRAFFIC = { GraphQL: 'ParleyOperationsSlow', legacy: 'ParleyLegacyEventsSlow' } as const;

const toInput = (series: InputSeries) =>
  Object.entries(series).map(([name, values]) => ({
    series: name.includes('{') ? name.replace('{', `{${TARGET},`) : `${name}{${TARGET}}`,
    values,
  }));

/** Evaluates queries over the series after 110 minutes. Returns their values, without the labels; none if there is no data. */
async function evaluate(input: InputSeries, queries: readonly string[]): Promise<readonly string[]> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'parley-rules-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const file = join(folder, 'test.yml');
  const tests = {
    rule_files: [RULES],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: toInput(input),
        // Expects what no query returns, so that promtool prints what each returns.
        promql_expr_test: queries.map((expr) => ({
          expr: `count(${expr}) or vector(0)`,
          eval_time: '110m',
          exp_samples: [{ labels: '{}', value: -1 }],
        })),
      },
    ],
  };
  await writeFile(file, JSON.stringify(tests));
  const { stdout, stderr } = spawnSync(requireProgram('promtool'), ['test', 'rules', file], {
    encoding: 'utf8',
  });
  return Array.from(
    `${stdout}${stderr}`.matchAll(/got: *\[?\s*"?\{\} (\S+?)[",\]\s]/g),
    ([, value = '']) => value,
  );
}

const firing = (alert: string): string => `ALERTS{alertname="${alert}",alertstate="firing"}`;

describe.skipIf(isMissing('promtool')).for(['GraphQL', 'legacy'] as const)('with %s traffic only', (kind) => {
  test('each alert fires for its fault, and none without a fault', async () => {
    const { groups } = parse(await readFile(RULES, 'utf8')) as { groups: { rules: { alert: string }[] }[] };
    const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    expect([...Object.keys(FAULTS), ...Object.values(OF_TRAFFIC)].toSorted()).toEqual(alerts.toSorted());
    const expected = alerts.filter((alert) => alert in FAULTS || alert === OF_TRAFFIC[kind]);
    const faults = Object.assign({}, ...Object.values(FAULTS)) as InputSeries;
    const counts = await evaluate({ ...TRAFFIC[kind], ...faults }, alerts.map(firing));
    expect(alerts.filter((_, index) => Number(counts[index]) > 0)).toEqual(expected);
    const quiet = await evaluate({ up: '1x120' }, [`ALERTS`]);
    expect(quiet.map(Number)).toEqual([0]);
  });

  test('the dashboard shows the rate of operations and of failures', async () => {
    const { panels } = JSON.parse(readSample('grafana/parley.json')) as {
      panels: { title: string; type: string; targets?: { expr: string }[] }[];
    };
    const queries = panels
      .filter(({ title, type }) => type === 'stat' && (title === 'Operations' || title === 'Failures'))
      .flatMap(({ targets = [] }) => targets)
      .map(({ expr }) => expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:job|instance)/g, '.*'));
    expect(queries).toHaveLength(2);
    const series = { ...TRAFFIC[kind], ...FAULTS['ParleyUnavailableErrors'] };
    expect((await evaluate(series, queries)).map(Number)).toEqual([1, 1]);
  });
});

test.skipIf(isMissing('promtool'))('a cluster without a single target is down', async () => {
  expect((await evaluate({ other: '1x120' }, [firing('ParleyDown')])).map(Number)).toEqual([1]);
});
