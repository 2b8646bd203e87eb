import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import type { Delay, Memory, ProbeRequest } from './process-probe.ts';

/** USER_HZ of Linux is 100. */
const CLOCK_TICK_MS = 10;

/** Returns the user and kernel CPU time of all threads of a process, in milliseconds, to the nanosecond. */
export async function cpuMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = threads.map(async (thread) => {
    // A thread may end meanwhile.
    const stat = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
    return Number(stat.split(' ', 1)[0]) / 1e6;
  });
  return (await Promise.all(times)).reduce((sum, ms) => sum + ms, 0);
}

/** Returns the CPU time of the ended children of a process, in milliseconds. */
async function readEndedCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The process name, in parentheses, may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  const [user = 0, system = 0] = fields.slice(13, 15).map(Number);
  return (user + system) * CLOCK_TICK_MS;
}

/** Returns the first process whose command line, with spaces between the arguments, matches the pattern. */
export async function findProcess(pattern: RegExp): Promise<number> {
  for (const pid of await readdir('/proc')) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (pattern.test(commandLine.replaceAll('\0', ' '))) return Number(pid);
  }
  throw new Error('No process matches');
}

/** Returns the CPU time of a process and its children, also of ended ones, in milliseconds: PostgreSQL has one for each connection. */
export async function cpuOfTree(parent: number): Promise<number> {
  let sum = (await cpuMs(parent)) + (await readEndedCpuMs(parent));
  for (const pid of await readdir('/proc')) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat.slice(stat.lastIndexOf(') ') + 2).split(' ')[1] === String(parent))
      sum += await cpuMs(Number(pid)).catch(() => 0);
  }
  return sum;
}

/** Measures what a process uses during the work. */
export type Meter = (pid: number, work: () => Promise<unknown>) => Promise<number>;

/** Returns the CPU time of a process during the work, in milliseconds. */
export async function cpuDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const before = await cpuMs(pid);
  await work();
  return (await cpuMs(pid)) - before;
}

/** Returns the `write` and `writev` system calls of a process during the work, most of them to sockets. */
export async function writesDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const count = async (): Promise<number> =>
    Number(/^syscw: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1]);
  const before = await count();
  await work();
  return (await count()) - before;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = low] = sorted.slice(sorted.length % 2 === 0 ? middle - 1 : middle, middle + 1);
  return (low + high) / 2;
}

/** Returns a percentile of sorted values. */
export const percentile = (sorted: readonly number[], fraction: number): number =>
  sorted[Math.floor(sorted.length * fraction)] ?? NaN;

/** Measurements inside a process that runs with `PROBED`. */
export interface Probe {
  memory(): Promise<Memory>;
  /** Returns the bytes that are allocated on the heap during the work. */
  allocatedDuring(work: () => Promise<unknown>): Promise<number>;
  /** Returns the event loop delay during the work. */
  delayDuring(work: () => Promise<unknown>): Promise<Delay>;
}

/** Node options that load the probe. */
export const PROBED = ['--expose-gc', '--import', new URL('process-probe.ts', import.meta.url).href];

export function createProbe(child: ChildProcess): Probe {
  const request = async (message: ProbeRequest): Promise<unknown> => {
    const reply = once(child, 'message');
    child.send(message);
    return (await reply)[0];
  };
  return {
    memory: () => request('probe: memory') as Promise<Memory>,
    async allocatedDuring(work) {
      await request('probe: watch allocation');
      await work();
      return (await request('probe: allocation')) as number;
    },
    async delayDuring(work) {
      await request('probe: watch');
      await work();
      return (await request('probe: delay')) as Delay;
    },
  };
}

/** A program to compare the server with, in a separate process. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly probe: Probe;
  /** Sends a text to all clients; several texts in one turn of its event loop. */
  publish(text: string | readonly string[]): Promise<void>;
}

export interface PeerOptions {
  /** The interpreter, for a peer in Python. */
  readonly python?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a program of `peers/`. */
export async function startPeer(name: string, { python, settings }: PeerOptions = {}): Promise<Peer> {
  const env = { ...process.env, ...settings };
  const child =
    python === undefined
      ? fork(new URL(`peers/${name}.ts`, import.meta.url), { env, execArgv: PROBED })
      : fork(new URL(`peers/${name}.py`, import.meta.url), { env, execPath: python, execArgv: [] });
  const [port] = (await once(child, 'message')) as [number];
  return {
    port,
    pid: child.pid ?? 0,
    probe: createProbe(child),
    async publish(text) {
      child.send(text);
      await once(child, 'message');
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
    },
  };
}
