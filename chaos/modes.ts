import { CLUSTER_FAULTS } from './cluster-faults.ts';
import { runClusterFault } from './cluster-run.ts';
import { startCluster } from './cluster.ts';
import type { FaultCounts } from './delivery-log.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import { runRevocations } from './revocations.ts';
import { runRolling } from './rolling.ts';
import { runScenario, SCENARIOS } from './scenarios.ts';
import { runStockSocketIo } from './stock-socket-io.ts';
import { createTable } from './table.ts';
import { runUnstable } from './unstable.ts';

export interface ModeOptions {
  readonly isShort: boolean;
  readonly seed: number;
  /** Runs only the scenarios whose name includes it. */
  readonly only: string;
  readonly writes: number | undefined;
}

/** A way to run: prints what happens, and returns the number of faults. */
export type Mode = (options: ModeOptions) => Promise<number>;

const COUNTS = ['acknowledged', 'delivered', 'lost', 'duplicated', 'reordered', 'leaked'] as const;

const faultsOf = ({ lost, duplicated, reordered, leaked }: FaultCounts): number =>
  lost + duplicated + reordered + leaked;

/** One node that is killed, and whose connections are cut. */
const singleNode: Mode = async ({ isShort, seed, only, writes = isShort ? 1_200 : 100_000 }) => {
  const runs = [
    ...SCENARIOS.map((scenario) => ({
      name: scenario.name,
      run: (writeCount: number, random: Random) => runScenario(scenario, writeCount, random),
    })),
    { name: 'members removed', run: runRevocations },
  ].filter(({ name }) => name.includes(only));
  const print = createTable([...COUNTS, 'injectedFaults']);
  let faults = 0;
  for (const [index, { name, run }] of runs.entries()) {
    const outcome = await run(Math.ceil(writes / runs.length), createRandom(seed + index));
    print(name, outcome);
    faults += faultsOf(outcome);
  }
  return faults;
};

/** Three nodes with PostgreSQL, Redis and nginx. The gaps are in milliseconds. */
const cluster: Mode = async ({ isShort, only }) => {
  const run = isShort
    ? { times: 1, calmMs: 500, durationFactor: 0.5 }
    : { times: 5, calmMs: 2_000, durationFactor: 2 };
  await using nodes = await startCluster();
  const print = createTable([...COUNTS, 'gap', 'victimGap', 'sendGap']);
  let faults = 0;
  for (const fault of CLUSTER_FAULTS.filter(({ name }) => name.includes(only))) {
    const outcome = await runClusterFault(nodes, fault, run);
    print(fault.name, outcome);
    faults += faultsOf(outcome);
  }
  return faults;
};

/** Two nodes that are restarted behind nginx. In the full form beside stock Socket.IO, and with a ceiling. */
const rolling: Mode = async ({ isShort }) => {
  const options = isShort
    ? { clients: 200, spreadMs: 2_000, rounds: 1 }
    : { clients: 5_000, spreadMs: 20_000, rounds: 2 };
  const { rolls, ceiling, ...counts } = await runRolling(options);
  createTable(COUNTS)('rolling restart', counts);
  const stock = isShort ? undefined : await runStockSocketIo(options);
  if (stock !== undefined) createTable(COUNTS)('stock Socket.IO', stock);
  const print = createTable(['returns', 'drainMs', 'lastBackMs', 'longestAbsenceMs', 'peakPerSecond']);
  for (const roll of rolls) print(`Parley, ceiling ${ceiling}/s`, roll);
  for (const roll of stock?.rolls ?? []) print('stock Socket.IO', roll);
  // A short run is too short for a rate.
  const tooFast = isShort ? 0 : rolls.filter(({ peakPerSecond }) => peakPerSecond > ceiling).length;
  return faultsOf(counts) + tooFast;
};

/** Clients on networks that lose their connections again and again. */
const unstable: Mode = async ({ isShort }) => {
  const outcome = await runUnstable(
    isShort ? { clients: 60, cutEveryMs: 3_000, cuts: 2 } : { clients: 1_000, cutEveryMs: 15_000, cuts: 6 },
  );
  createTable([...COUNTS, 'cuts', 'longestAbsenceMs'])('unstable networks', outcome);
  return faultsOf(outcome);
};

export const MODES = { cluster, rolling, unstable, 'single-node': singleNode } as const;
