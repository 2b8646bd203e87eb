// Loaded into a program before it begins, to tell a bench what only the program itself can know.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';

export type Question = 'probe: memory' | 'probe: watch' | 'probe: delay';

/** In bytes, once everything has been collected that nobody uses. */
export interface Memory {
  readonly resident: number;
  /** Objects, and buffers beside them. */
  readonly used: number;
}

/** By how much the event loop was late since it is watched, in milliseconds. */
export interface Delay {
  readonly p99: number;
  readonly max: number;
}

/** Every so many milliseconds it is looked whether the loop is late. */
const RESOLUTION_MS = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

function memory(): Memory {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, used: heapUsed + external };
}

function lateness(): Delay {
  delay.disable();
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return { p99: late(delay.percentile(99)), max: late(delay.max) };
}

process.on('message', (question: Question) => {
  if (question === 'probe: memory') process.send?.(memory());
  if (question === 'probe: delay') process.send?.(lateness());
  if (question === 'probe: watch') {
    delay.reset();
    delay.enable();
    process.send?.('watching');
  }
});
// It must not keep alive what would end by itself.
process.channel?.unref();
