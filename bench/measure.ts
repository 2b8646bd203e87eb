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
  for (;;) {
    const endedMs = await readEndedCpuMs(parent);
    let sum = endedMs + (await cpuMs(parent));
    for (const pid of await readdir('/proc')) {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      if (stat.slice(stat.lastIndexOf(') ') + 2).split(' ')[1] === String(parent))
        sum += await cpuMs(Number(pid)).catch(() => 0);
    }
    // The time of a child that ended meanwhile would be missing.
    if ((await readEndedCpuMs(parent)) === endedMs) return sum;
  }
}

/** Returns the share of the machine's CPU time during the work that programs use which this process has not started. */
export async function foreignShareDuring(work: () => Promise<unknown>): Promise<number> {
  const before = await readMachine();
  await work();
  const after = await readMachine();
  return (after.busy - before.busy - (after.own - before.own)) / (after.total - before.total);
}

/** Reads the CPU time of the machine, and that of this process and its descendants, in clock ticks. */
async function readMachine(): Promise<Readonly<Record<'busy' | 'total' | 'own', number>>> {
  const [cpu = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const ticks = cpu.split(/ +/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, irq = 0, softIrq = 0, steal = 0] = ticks;
  // Interrupts are of this process, whose sockets cause them; `steal` is of other machines on the same hardware.
  const busy = user + nice + system + steal;
  const parents = new Map<number, number>();
  const ticksOf = new Map<number, number>();
  for (const pid of (await readdir('/proc')).map(Number).filter(Number.isInteger)) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const fields = stat
      .slice(stat.lastIndexOf(') ') + 2)
      .split(' ')
      .map(Number);
    parents.set(pid, fields[1] ?? 0);
    ticksOf.set(
      pid,
      fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0),
    );
  }
  const isOwn = (pid: number): boolean => pid === process.pid || (pid > 1 && isOwn(parents.get(pid) ?? 0));
  const own = [...ticksOf].reduce((sum, [pid, ticks]) => (isOwn(pid) ? sum + ticks : sum), 0);
  return { busy, total: busy + idle + ioWait + irq + softIrq, own };
}

/** Measures what a process uses during the work. */
export type Meter = (pid: number, work: () => Promise<unknown>) => Promise<number>;

/** Returns the CPU time of a process during the work, in milliseconds. */
export async function cpuDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const before = await cpuMs(pid);
  await work();
  return (await cpuMs(pid)) - before;
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
  /** Returns the writes during the work of each socket that was written to. */
  writesDuring(work: () => Promise<unknown>): Promise<readonly number[]>;
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
    async writesDuring(work) {
      await request('probe: watch writes');
      await work();
      return (await request('probe: writes')) as readonly number[];
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
