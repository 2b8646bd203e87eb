import { parseArgs } from 'node:util';
import type { Deployment } from './estimate.ts';

interface Option {
  readonly field: Exclude<keyof Deployment, 'bus'>;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly isInteger: boolean;
  readonly about: string;
}

const integer = (field: Option['field'], value: number, min: number, max: number, about: string): Option => ({
  field,
  value,
  min,
  max,
  isInteger: true,
  about,
});
const rate = (field: Option['field'], value: number, about: string): Option => ({
  field,
  value,
  min: 0,
  max: 1e6,
  isInteger: false,
  about,
});

const OPTIONS: Readonly<Record<string, Option>> = {
  nodes: integer('nodes', 2, 1, 1_000, 'processes'),
  'node-cores': integer(
    'nodeCores',
    2,
    1,
    128,
    'cores of each node; it uses one, and others for collection and logins',
  ),
  'node-memory': integer('nodeMemoryMb', 4_096, 512, 1e6, 'memory of each node in MB'),
  'postgres-cores': integer('postgresCores', 4, 1, 1_024, 'cores of PostgreSQL'),
  connections: integer('connections', 10_000, 0, 1e8, 'connected clients, each with a subscription'),
  sends: rate('sendsPerSecond', 100, 'messages a second'),
  readers: integer('readers', 10, 0, 100_000, 'connected subscribers of a conversation'),
  connects: rate('connectsPerSecond', 10, 'clients a second that connect, each with an initial query'),
  logins: rate('loginsPerSecond', 1, 'logins with a password a second'),
  seconds: integer('seconds', 10, 1, 60, 'simulated time'),
  seed: integer('seed', 1, 0, 2 ** 31, 'of the arrivals: the same seed gives the same result'),
};
const BUSES = ['NOTIFY', 'Redis'] as const;

export const HELP = [
  'npm run simulate -- [options]',
  '',
  'Simulates a deployment with the measured costs of docs/scaling.md, and prints what it uses and what saturates first.',
  '',
  ...Object.entries(OPTIONS).map(([name, { about, value }]) => `  --${name.padEnd(15)} ${about} (${value})`),
  `  --${'bus'.padEnd(15)} ${BUSES.join(' or ')} (Redis)`,
  `  --${'benches'.padEnd(15)} simulates the benches instead, and compares with the results it is fitted to`,
  `  --${'help'.padEnd(15)} prints this`,
].join('\n');

export type Command = 'help' | 'benches' | Deployment;

/** Parses the arguments. Throws an error that names each wrong one. */
export function parseCommand(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, { type: 'string' as const }])),
      bus: { type: 'string' },
      benches: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return 'help';
  if (values.benches === true) return 'benches';
  const problems: string[] = [];
  const numbers = Object.entries(OPTIONS).map(([name, option]) => {
    const text = (values as Readonly<Record<string, unknown>>)[name];
    const value = typeof text === 'string' ? readNumber(text) : option.value;
    const { min, max, isInteger } = option;
    if (!(value >= min && value <= max) || (isInteger && !Number.isInteger(value)))
      problems.push(`--${name}: ${isInteger ? 'an integer' : 'a number'} from ${min} to ${max}`);
    return [option.field, value] as const;
  });
  const bus = BUSES.find((each) => each.toLowerCase() === (values.bus ?? 'Redis').toLowerCase());
  if (bus === undefined) problems.push(`--bus: ${BUSES.join(' or ')}`);
  if (problems.length > 0 || bus === undefined) throw new Error(problems.join('\n'));
  return { ...(Object.fromEntries(numbers) as Record<Option['field'], number>), bus };
}

const readNumber = (text: string): number => (/^\d+(?:\.\d+)?(?:e\d)?$/.test(text) ? Number(text) : NaN);
