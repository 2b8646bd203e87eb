// Runs the named benches, or all, prints a table of results.json, and writes the tables and plots of docs/performance.md.
// `--quick` tries them with short rounds and writes nothing. `--guard` runs guard.ts instead.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { FIGURES } from './chart-specs.ts';
import type { Comparison, Figure } from './chart-specs.ts';
import { COUNTS_INSTRUCTIONS } from './instructions.ts';
import { drawPlot, formatNumber } from './plot.ts';
import { readResults } from './results.ts';
import type { Result, Results, Row } from './results.ts';
import { print } from './server.ts';

/** In running order, quick ones first. */
const BENCHES = [
  'startup',
  'single-send',
  'allocation',
  'many-subscriptions',
  'burst',
  'resume',
  'delivery',
  'initial-query',
  'sends',
  'fan-out',
  'legacy-fan-out',
  'conversation-growth',
  'growth',
  'connect-storm',
  'latency',
  'slow-readers',
  'idle-connections',
];
/** Run by name only: they take long. */
const OTHER_BENCHES = ['attacks', 'capacity', 'cluster'];
const PAGE = new URL('../docs/performance.md', import.meta.url);
const PLOTS = new URL('../docs/performance/', import.meta.url);
const OURS = 'Parley';

/** Runs a program of this folder. Returns its exit code. */
async function runProgram(name: string, args: readonly string[] = []): Promise<number | null> {
  const program = spawn(process.execPath, [`bench/${name}.ts`, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...(options.quick && { BENCH_QUICK: '1' }) },
  });
  const [code] = (await once(program, 'exit')) as [number | null];
  return code;
}

async function runBench(name: string): Promise<void> {
  print(`\n==> ${name}\n`);
  const startedAt = performance.now();
  if ((await runProgram(name)) !== 0) throw new Error(`The bench ${name} failed.`);
  print(`\n(${((performance.now() - startedAt) / 1_000).toFixed(0)} s)`);
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

function formatTable(
  { name, title, caseOf, parley, peers }: Figure,
  { rows, machine, measured }: Result,
): string {
  const head = ['', OURS, ...peers.map(({ peer }) => peer), ...peers.map(({ peer }) => `to ${peer}`)];
  const lines = rows.map((row) => [
    caseOf(row),
    formatValue(valueOf(row, parley)),
    ...peers.map(({ column }) => formatValue(valueOf(row, column))),
    ...peers.map(({ ratio }) => valueOf(row, ratio)?.toFixed(2) ?? '-'),
  ]);
  const table = [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...lines];
  const text = table.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const plot = `![${title}](performance/${name}.svg)`;
  return `<!-- ${name} -->\n\n${plot}\n\n${text}\n\nMeasured on ${measured}: ${machine}.\n\n<!-- /${name} -->`;
}

/** Replaces the plot and the table of each figure, which stand between two comments with its name. */
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

async function runBenches(requested: readonly string[]): Promise<void> {
  const known = [...BENCHES, ...OTHER_BENCHES];
  const unknown = requested.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`No such bench: ${unknown.join(', ')}. There are ${known.join(', ')}.`);
  if (!COUNTS_INSTRUCTIONS) print('This machine does not count instructions for perf: CPU time only.');
  for (const name of requested.length === 0 ? BENCHES : requested) await runBench(name);
  if (options.quick) return;
  const results = await readResults();
  printTable(results);
  await drawPlots(results);
  await writeTables(results);
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    guard: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
  },
});
if (options.guard) process.exitCode = (await runProgram('guard', options.record ? ['--record'] : [])) ?? 1;
else await runBenches(positionals);
