import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { waitUntilListening } from '../test/harness/program.ts';
import { createProbe, PROBED } from './measure.ts';
import type { Probe } from './measure.ts';

const SAMPLE_MS = 50;
/** Twice the drain timeout of the program. */
const STOP_MS = 10_000;

/** A running server process. Disposing stops it with SIGTERM. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly readyMs: number;
  readonly probe: Probe;
  residentMb(): Promise<number>;
}

/**
 * Starts the server as `npm start` does, on the embedded database in a folder unless `settings` differ. It prints warnings and errors to
 * the console.
 */
export async function startServer(
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...PROBED, 'src/main.ts'], {
    env: {
      ...process.env,
      DATA_DIR: dataDir,
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'warn',
      RATE_LIMITS: 'off',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const url = await waitUntilListening(child);
  const readyMs = performance.now() - startedAt;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return {
    url,
    pid: child.pid ?? 0,
    readyMs,
    probe: createProbe(child),
    async residentMb() {
      const status = await readFile(`/proc/${String(child.pid)}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      const killTimer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exited;
      clearTimeout(killTimer);
    },
  };
}

/** Returns the peak resident memory of the server during the work. */
export async function measurePeakMb(server: Server, work: Promise<unknown>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => {
    void server.residentMb().then((residentMb) => (peak = Math.max(peak, residentMb)));
  }, SAMPLE_MS);
  await work.finally(() => clearInterval(timer));
  return peak;
}

/** Formats a percentile of sorted durations with one decimal. */
export const formatPercentile = (sorted: readonly number[], fraction: number): string =>
  (sorted[Math.floor(sorted.length * fraction)] ?? sorted.at(-1) ?? 0).toFixed(1);

export const print = (line: string): void => void process.stdout.write(`${line}\n`);
