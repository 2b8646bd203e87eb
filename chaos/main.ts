// Injects faults under load, and counts lost, duplicated, reordered and leaked messages.
//
//   npm run chaos                     one node, 100,000 writes
//   npm run chaos -- --cluster        three nodes with PostgreSQL, Redis and nginx
//   npm run chaos -- --rolling        5,000 clients on two nodes that are restarted
//   npm run chaos -- --unstable       1,000 clients that lose their connections every 15 seconds
//   npm run chaos -- … --short        less than a minute each, as in CI
//   npm run chaos -- --seed 7         the same random decisions as another run with this seed
import { parseArgs } from 'node:util';
import { MODES } from './modes.ts';

const { values } = parseArgs({
  options: {
    cluster: { type: 'boolean' },
    rolling: { type: 'boolean' },
    unstable: { type: 'boolean' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string' },
    writes: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const chosen = (['cluster', 'rolling', 'unstable'] as const).filter((mode) => values[mode] === true);

let faults = 0;
for (const mode of chosen.length === 0 ? (['single-node'] as const) : chosen) {
  process.stdout.write(`chaos, ${mode}, seed ${seed}\n\n`);
  faults += await MODES[mode]({
    isShort: values.short,
    seed,
    only: values.only,
    writes: values.writes === undefined ? undefined : Number(values.writes),
  });
  process.stdout.write('\n');
}
process.stdout.write(faults === 0 ? 'nothing lost, repeated, reordered or leaked\n' : `${faults} faults\n`);
process.exit(faults === 0 ? 0 : 1);
