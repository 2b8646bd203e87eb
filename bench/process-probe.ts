// Preloaded into a measured process (see `PROBED`). Reports its memory and event loop delay over IPC.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';

export type ProbeRequest = 'probe: memory' | 'probe: watch' | 'probe: delay';

/** In bytes, after a full garbage collection. */
export interface Memory {
  readonly resident: number;
  /** Heap and external buffers. */
  readonly used: number;
}

/** Event loop delay since `probe: watch`, in milliseconds. */
export interface Delay {
  readonly p99: number;
  readonly max: number;
}

/** Sampling interval. */
const RESOLUTION_MS = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

function readMemory(): Memory {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, used: heapUsed + external };
}

function readDelay(): Delay {
  delay.disable();
  const toDelayMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return { p99: toDelayMs(delay.percentile(99)), max: toDelayMs(delay.max) };
}

process.on('message', (request: ProbeRequest) => {
  if (request === 'probe: memory') process.send?.(readMemory());
  if (request === 'probe: delay') process.send?.(readDelay());
  if (request === 'probe: watch') {
    delay.reset();
    delay.enable();
    process.send?.('watching');
  }
});
// The channel must not keep the process alive.
process.channel?.unref();
