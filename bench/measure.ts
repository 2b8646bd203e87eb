import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Delay, Memory, Question } from './process-probe.ts';

/** Of Linux, in milliseconds. */
const CLOCK_TICK_MS = 10;

/** Processor time that a process has taken, with that of the kernel for it, in milliseconds. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in brackets, may have blanks in it.
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

/** Processor time of a process during some work. */
export async function cpuDuring(pid: number, work: () => Promise<void>): Promise<number> {
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

/** What a program can be asked that runs with `PROBED`. */
export interface Probe {
  memory(): Promise<Memory>;
  /** By how much its event loop was late meanwhile. */
  delayDuring(work: () => Promise<unknown>): Promise<Delay>;
}

/** Options of Node with which a program can be asked. */
export const PROBED = ['--expose-gc', '--import', new URL('process-probe.ts', import.meta.url).href];

export function createProbe(child: ChildProcess): Probe {
  const ask = async (question: Question): Promise<unknown> => {
    const answered = once(child, 'message');
    child.send(question);
    return (await answered)[0];
  };
  return {
    memory: () => ask('probe: memory') as Promise<Memory>,
    async delayDuring(work) {
      await ask('probe: watch');
      await work();
      return (await ask('probe: delay')) as Delay;
    },
  };
}

/** A program that is compared with the server, in a process of its own. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly probe: Probe;
  publish(text: string): Promise<void>;
}

export interface PeerOptions {
  /** What runs it, when it is not written for Node. */
  readonly python?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts one of `peers/`. */
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
