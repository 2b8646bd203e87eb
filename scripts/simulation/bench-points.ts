import { readFileSync } from 'node:fs';
import { simulate } from './cluster.ts';
import type { Outcome, Scenario } from './cluster.ts';
import { COSTS } from './costs.ts';

/** A figure that a bench measured, and what the simulation of that bench gives. */
export interface Point {
  readonly title: string;
  readonly unit: 'sends/s' | 'deliveries/s' | 'µs' | 'ms' | 'KB';
  readonly measured: number;
  readonly simulated: number;
}

type Row = Readonly<Record<string, string | number>>;
type Results = Readonly<Record<string, { readonly rows: readonly Row[] }>>;

/** The results to which the constants are fitted: those of later runs in `bench/results.json` do not fit each other. */
const FILE = new URL('fitted-results.json', import.meta.url);
/** Those of a send in these results, from before docs/decisions/0042-sends-in-two-turns.md. */
const RECORDED_ROUND_TRIPS = 6;

/** Simulates the benches, on the two cores that everything shares in them. */
export function findPoints(): Point[] {
  const results = JSON.parse(readFileSync(FILE, 'utf8')) as Results;
  return [...findSendPoints(results), ...findDeliveryPoints(results), ...findClusterPoints(results)];
}

const run = (scenario: Pick<Scenario, 'load'> & Partial<Scenario>): Outcome =>
  simulate({
    nodes: 1,
    sharedCores: 2,
    nodeCores: 2,
    postgresCores: 2,
    bus: 'NOTIFY',
    readers: 0,
    background: 0,
    roundTrips: RECORDED_ROUND_TRIPS,
    seconds: 5,
    seed: 1,
    ...scenario,
  });

const perSend = (busy: number, { sendsPerSecond }: Outcome): number => (busy * 1e6) / sendsPerSecond;

function findSendPoints(results: Results): Point[] {
  return readRows(results, 'sends').flatMap((row) => {
    const title = `single node, senders: ${row['senders']}`;
    const outcome = run({ load: { senders: readNumber(row, 'senders') } });
    return [
      point(title, 'sends/s', readNumber(row, 'parleyPerSecond'), outcome.sendsPerSecond),
      point(`${title}, node`, 'µs', readNumber(row, 'parleyCpuUs'), perSend(outcome.nodeBusy, outcome)),
      point(`${title}, median`, 'ms', readNumber(row, 'parleyMedianMs'), outcome.send.p50),
    ];
  });
}

function findDeliveryPoints(results: Results): Point[] {
  const fanOut = readRows(results, 'fan-out').map((row) =>
    point(
      `fan-out, ${row['subscribers']} subscribers x ${row['bytes']} B`,
      'deliveries/s',
      1e6 / readNumber(row, 'parleyUs'),
      1e6 / COSTS.delivery.value,
    ),
  );
  const [latency] = readRows(results, 'latency');
  if (latency === undefined) return fanOut;
  const sendsPerSecond = readNumber(latency, 'perSecond');
  const outcome = run({ load: { sendsPerSecond }, readers: 10 });
  const title = `latency, ${sendsPerSecond} sends/s to 10 readers`;
  return [
    ...fanOut,
    point(`${title}, node`, 'µs', readNumber(latency, 'parleyBusy') * 1_000, outcome.nodeBusy * 1_000),
    point(`${title}, p50`, 'ms', readNumber(latency, 'parleyP50Ms'), outcome.delivery.p50),
    point(`${title}, p99`, 'ms', readNumber(latency, 'parleyP99Ms'), outcome.delivery.p99),
  ];
}

function findClusterPoints(results: Results): Point[] {
  return readRows(results, 'cluster').flatMap((row) => {
    const isSingle = row['bus'] === 'single';
    const nodes = isSingle ? 1 : 3;
    const outcome = run({ nodes, bus: row['bus'] === 'Redis' ? 'Redis' : 'NOTIFY', load: { senders: 198 } });
    const title = isSingle ? 'cluster bench, one node' : `three nodes, ${row['bus']}`;
    const servers = outcome.postgresBusy + outcome.redisBusy;
    return [
      point(title, 'sends/s', readNumber(row, 'perSecond'), outcome.sendsPerSecond),
      point(
        `${title}, all nodes`,
        'µs',
        readNumber(row, 'nodesUs'),
        perSend(outcome.nodeBusy * nodes, outcome),
      ),
      point(`${title}, servers`, 'µs', readNumber(row, 'serversUs'), perSend(servers, outcome)),
    ];
  });
}

const point = (title: string, unit: Point['unit'], measured: number, simulated: number): Point => ({
  title,
  unit,
  measured,
  simulated,
});

function readRows(results: Results, bench: string): readonly Row[] {
  const rows = results[bench]?.rows;
  if (rows === undefined) throw new Error(`fitted-results.json has no ${bench}`);
  return rows;
}

function readNumber(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== 'number') throw new Error(`fitted-results.json: ${name} is missing`);
  return value;
}
