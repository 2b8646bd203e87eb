import { findPoints } from './bench-points.ts';
import { COSTS } from './costs.ts';
import { estimate, findLimit } from './estimate.ts';
import { PLANS } from './plans.ts';
import type { Deployment } from './estimate.ts';

/** Formats a number with at most three digits that count, and separators. */
const formatNumber = (value: number): string =>
  Number.isFinite(value) ? Number(value.toPrecision(3)).toLocaleString('en') : '-';

const percent = (share: number): string => `${formatNumber(share * 100)} %`;

/** Returns what a deployment uses, and what saturates first, as text. */
export function reportDeployment(deployment: Deployment): string {
  const { outcome, uses, storedGbPerDay } = estimate(deployment);
  const { factor, first } = findLimit(deployment);
  const rows = uses.map(({ resource, used, available, unit }) => [
    resource,
    `${formatNumber(used)} of ${formatNumber(available)} ${unit}`,
    percent(used / available),
  ]);
  const perSecond = outcome.isSaturated ? outcome.sendsPerSecond : deployment.sendsPerSecond;
  return [
    formatColumns([['resource', 'used', ''], ...rows]),
    '',
    `messages           ${formatNumber(perSecond)} a second, ${formatNumber(outcome.messagesPerBatch)} in a batch, ${formatNumber(storedGbPerDay)} GB a day`,
    `send to result     p50 ${formatNumber(outcome.send.p50)} ms, p99 ${formatNumber(outcome.send.p99)} ms`,
    `send to delivery   p50 ${formatNumber(outcome.delivery.p50)} ms, p99 ${formatNumber(outcome.delivery.p99)} ms`,
    outcome.isSaturated
      ? 'saturated: messages arrive faster than they are stored'
      : `saturates first: ${first.resource}, at ${formatNumber(factor)} times this load`,
  ].join('\n');
}

/** Returns the simulated benches beside their measurements, as text. */
export const reportBenches = (): string => formatColumns(TABLES.benches());

function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

/** Tables of docs/scaling.md, by the names of their markers. */
export const TABLES = {
  costs: () => [
    ['cost', 'value', '', 'source'],
    ...Object.values(COSTS).map(({ value, unit, of, kind, source }) => [
      of,
      `${formatNumber(value)} ${unit}`,
      kind,
      source,
    ]),
  ],
  benches: () => [
    ['bench', 'unit', 'measured', 'simulated', 'ratio'],
    ...findPoints().map(({ title, unit, measured, simulated }) => [
      title,
      unit,
      formatNumber(measured),
      formatNumber(simulated),
      (simulated / measured).toFixed(2),
    ]),
  ],
  plans: () => {
    const estimates = PLANS.map(({ cell }) => ({ ...estimate(cell), limit: findLimit(cell) }));
    const row = (title: string, cells: readonly string[]): string[] => [title, ...cells];
    const used = (resource: string): string[] =>
      row(
        resource,
        estimates.map(({ uses }) => {
          const use = uses.find((each) => each.resource === resource);
          return use === undefined
            ? '-'
            : `${formatNumber(use.used)} of ${formatNumber(use.available)} ${use.unit} (${percent(use.used / use.available)})`;
        }),
      );
    return [
      row(
        '',
        PLANS.map(({ title }) => title),
      ),
      row(
        'cells',
        PLANS.map(({ cells }) => formatNumber(cells)),
      ),
      row(
        'nodes, in each cell',
        PLANS.map(({ cell }) => formatNumber(cell.nodes)),
      ),
      row(
        'connections, in each cell',
        PLANS.map(({ cell }) => formatNumber(cell.connections)),
      ),
      row(
        'sends a second, in each cell',
        PLANS.map(({ cell }) => formatNumber(cell.sendsPerSecond)),
      ),
      row(
        'deliveries a second, in each cell',
        PLANS.map(({ cell }) => formatNumber(cell.sendsPerSecond * cell.readers)),
      ),
      row(
        'connects a second, in each cell',
        PLANS.map(({ cell }) => formatNumber(cell.connectsPerSecond)),
      ),
      ...['node thread', 'node memory', 'PostgreSQL CPU', 'PostgreSQL WAL', 'Redis CPU', 'bus'].map(used),
      row(
        'stored, in each cell',
        estimates.map(({ storedGbPerDay }) => `${formatNumber(storedGbPerDay)} GB a day`),
      ),
      row(
        'send to delivery, p50 and p99',
        estimates.map(
          ({ outcome: { delivery } }) => `${formatNumber(delivery.p50)}, ${formatNumber(delivery.p99)} ms`,
        ),
      ),
      row(
        'saturates first',
        estimates.map(({ limit }) => `${limit.first.resource}, at ${formatNumber(limit.factor)} times`),
      ),
    ];
  },
} as const satisfies Readonly<Record<string, () => string[][]>>;
