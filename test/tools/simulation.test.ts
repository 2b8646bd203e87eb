import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { findPoints } from '../../scripts/simulation/bench-points.ts';
import { estimate, findLimit } from '../../scripts/simulation/estimate.ts';
import type { Deployment } from '../../scripts/simulation/estimate.ts';
import { ROOT } from '../harness/program.ts';

/** The tolerances that docs/scaling.md states. */
const TOLERANCE = 0.25;
const LATENCY_TOLERANCE = 0.4;

const DEPLOYMENT: Deployment = {
  nodes: 3,
  nodeCores: 2,
  nodeMemoryMb: 4_096,
  postgresCores: 4,
  bus: 'NOTIFY',
  connections: 30_000,
  sendsPerSecond: 600,
  readers: 8,
  connectsPerSecond: 20,
  loginsPerSecond: 1,
  seconds: 2,
  seed: 1,
};

const simulate = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/simulate.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
};

test('the simulation reproduces the measured points that it is fitted to', () => {
  const points = findPoints();
  expect(points).toHaveLength(26);
  for (const { title, unit, measured, simulated } of points) {
    const deviation = Math.abs(simulated / measured - 1);
    expect(deviation, `${title}: ${simulated} ${unit} instead of ${measured}`).toBeLessThanOrEqual(
      unit === 'ms' ? LATENCY_TOLERANCE : TOLERANCE,
    );
  }
});

test('the same seed gives the same result, another one a similar one', () => {
  const first = estimate(DEPLOYMENT);
  expect(estimate(DEPLOYMENT)).toEqual(first);
  const other = estimate({ ...DEPLOYMENT, seed: 2 });
  expect(other).not.toEqual(first);
  expect(Math.abs(other.outcome.nodeBusy / first.outcome.nodeBusy - 1)).toBeLessThan(0.15);
});

test('messages that arrive faster than nodes can store them are reported as saturation', () => {
  expect(estimate({ ...DEPLOYMENT, nodes: 1, sendsPerSecond: 7_000 })).toMatchObject({
    outcome: { isSaturated: true },
    first: { resource: 'node thread' },
  });
});

test.each([
  ['node thread', { connectsPerSecond: 300 }],
  ['node memory', { connections: 500_000 }],
  ['node other threads', { loginsPerSecond: 80 }],
  ['PostgreSQL CPU', { postgresCores: 1, nodes: 12, sendsPerSecond: 600 }],
])('%s saturates first under such a load', (resource, load) => {
  expect(findLimit({ ...DEPLOYMENT, ...load, seconds: 1 }).first.resource).toBe(resource);
});

test('npm run simulate prints the use of each resource, and what saturates first', () => {
  const { status, stdout } = simulate('--nodes', '2', '--sends', '200', '--bus', 'redis');
  expect(status).toBe(0);
  for (const resource of [
    'node thread',
    'node memory',
    'PostgreSQL CPU',
    'PostgreSQL WAL',
    'Redis CPU',
    'bus',
  ])
    expect(stdout).toMatch(new RegExp(`^${resource} .+ %$`, 'm'));
  expect(stdout).toMatch(/^send to delivery +p50 [\d.]+ ms, p99 [\d.]+ ms$/m);
  expect(stdout).toMatch(/^saturates first: .+, at [\d.]+ times this load$/m);
});

test('wrong options are named, all of them', () => {
  expect(simulate('--nodes', '0', '--sends', 'many', '--bus', 'kafka')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/^--nodes: .*\n--sends: .*\n--bus: NOTIFY or Redis\n.*--help\n$/),
  });
  expect(simulate('--node', '3')).toMatchObject({ status: 2, stderr: expect.stringContaining("'--node'") });
  expect(simulate('3')).toMatchObject({ status: 2, stderr: expect.stringContaining("'3'") });
  expect(simulate('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--connections') });
});
