// Runs the named benches, or all, prints a table of results.json, and writes the tables and plots of docs/performance.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { format, resolveConfig } from 'prettier';
import { FIGURES } from './chart-specs.ts';
import type { Comparison, Figure } from './chart-specs.ts';
import { drawPlot, formatNumber } from './plot.ts';
import { readResults } from './results.ts';
import type { Result, Results, Row } from './results.ts';
import { print } from './server.ts';

/** In running order, quick ones first. */
const BENCHES = [
  'startup',
  'delivery',
  'slow-readers',
  'fan-out',
  'legacy-fan-out',
  'conversation-growth',
  'sends',
  'single-send',
  'initial-query',
  'idle-connections',
  'connect-storm',
  'latency',
  'attacks',
];
const PAGE = new URL('../docs/performance.md', import.meta.url);
const PLOTS = new URL('../docs/performance/', import.meta.url);
const OURS = 'Parley';

async function runBench(name: string): Promise<void> {
  print(`\n==> ${name}\n`);
  const bench = spawn(process.execPath, [`bench/${name}.ts`], { stdio: 'inherit' });
  const [code] = (await once(bench, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`The bench ${name} failed.`);
}

const valueOf = (row: Row, column: string): number | undefined => {
  const value = row[column];
  return typeof value === 'number' ? value : undefined;
};

const formatValue = (value: number | undefined): string => (value === undefined ? '-' : formatNumber(value));

function formatLine(figure: Figure, row: Row, { peer, column, ratio, goal = '' }: Comparison): string[] {
  const [ours, theirs] = [valueOf(row, figure.parley), valueOf(row, column)];
  const times = valueOf(row, ratio);
  return [
    figure.title,
    figure.caseOf(row),
    formatValue(ours),
    peer,
    formatValue(theirs),
    times === undefined ? '-' : times.toFixed(2),
    goal,
  ];
}

function printTable(results: Results): void {
  const lines = [['figure', 'case', OURS, 'peer', '', 'ratio', 'goal']];
  for (const figure of FIGURES)
    for (const row of results[figure.name]?.rows ?? [])
      for (const peer of figure.peers) lines.push(formatLine(figure, row, peer));
  const widths =
    lines[0]?.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0))) ?? [];
  print('\nMedians of paired rounds; units in docs/performance.md\n');
  for (const line of lines) print(line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '));
}

async function drawPlots(results: Results): Promise<void> {
  await mkdir(PLOTS, { recursive: true });
  for (const { name, title, unit, caseOf, parley, peers } of FIGURES) {
    const rows = results[name]?.rows;
    if (rows === undefined) continue;
    const groups = rows.map((row) => ({
      title: caseOf(row),
      bars: [
        { label: OURS, value: valueOf(row, parley), isOurs: true },
        ...peers.map(({ peer, column }) => ({ label: peer, value: valueOf(row, column), isOurs: false })),
      ],
    }));
    await writeFile(new URL(`${name}.svg`, PLOTS), drawPlot({ title, unit, groups }));
  }
}

function formatTable({ name, caseOf, parley, peers }: Figure, { rows, machine, measured }: Result): string {
  const head = ['', OURS, ...peers.map(({ peer }) => peer), ...peers.map(({ peer }) => `to ${peer}`)];
  const lines = rows.map((row) => [
    caseOf(row),
    formatValue(valueOf(row, parley)),
    ...peers.map(({ column }) => formatValue(valueOf(row, column))),
    ...peers.map(({ ratio }) => valueOf(row, ratio)?.toFixed(2) ?? '-'),
  ]);
  const table = [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...lines];
  const text = table.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `<!-- ${name} -->\n\n${text}\n\nMeasured on ${measured}: ${machine}.\n\n<!-- /${name} -->`;
}

/** Replaces the table of each figure, which stands between two comments with its name. */
async function writeTables(results: Results): Promise<void> {
  let page = await readFile(PAGE, 'utf8');
  for (const figure of FIGURES) {
    const result = results[figure.name];
    const section = new RegExp(`<!-- ${figure.name} -->.*<!-- /${figure.name} -->`, 's');
    if (!section.test(page)) throw new Error(`docs/performance.md has no comments for ${figure.name}.`);
    if (result !== undefined) page = page.replace(section, () => formatTable(figure, result));
  }
  const options = await resolveConfig(PAGE);
  await writeFile(PAGE, await format(page, { ...options, parser: 'markdown' }));
}

const requested = process.argv.slice(2);
const unknown = requested.filter((name) => !BENCHES.includes(name));
if (unknown.length > 0)
  throw new Error(`No such bench: ${unknown.join(', ')}. There are ${BENCHES.join(', ')}.`);
for (const name of requested.length === 0 ? BENCHES : requested) await runBench(name);
const results = await readResults();
printTable(results);
await drawPlots(results);
await writeTables(results);
