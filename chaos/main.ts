// Kills servers and cuts connections under load, and counts lost, duplicated, reordered and leaked messages.
//
//   npm run chaos                     100,000 writes
//   npm run chaos -- --short          less than a minute, as in CI
//   npm run chaos -- --seed 7         the same random decisions as another run with this seed
import { parseArgs } from 'node:util';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import { runRevocations } from './revocations.ts';
import { runScenario, SCENARIOS } from './scenarios.ts';
import type { Outcome } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string' },
    writes: { type: 'string' },
    only: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const writes = Number(values.writes ?? (values.short ? 1_200 : 100_000));
const runs = [
  ...SCENARIOS.map((scenario) => ({
    name: scenario.name,
    run: (writeCount: number, random: Random) => runScenario(scenario, writeCount, random),
  })),
  { name: 'members removed', run: runRevocations },
].filter(({ name }) => name.includes(values.only ?? ''));

const COLUMNS = [
  'acknowledged',
  'delivered',
  'lost',
  'duplicated',
  'reordered',
  'leaked',
  'injectedFaults',
] as const;
const formatLine = (name: string, cells: readonly (string | number)[]): string =>
  `${name.padEnd(32)}${cells.map((cell) => String(cell).padStart(16)).join('')}\n`;

process.stdout.write(`chaos, seed ${seed}, ${writes} writes\n\n${formatLine('', COLUMNS)}`);
const outcomes: Outcome[] = [];
for (const [index, { run }] of runs.entries()) {
  const outcome = await run(Math.ceil(writes / runs.length), createRandom(seed + index));
  outcomes.push(outcome);
  process.stdout.write(
    formatLine(
      outcome.name,
      COLUMNS.map((column) => outcome[column]),
    ),
  );
}
const faults = outcomes.reduce(
  (sum, { lost, duplicated, reordered, leaked }) => sum + lost + duplicated + reordered + leaked,
  0,
);
process.stdout.write(
  faults === 0 ? '\nnothing lost, repeated, reordered or leaked\n' : `\n${faults} faults\n`,
);
process.exit(faults === 0 ? 0 : 1);
