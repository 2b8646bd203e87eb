// Preloaded into a measured process (see `PROBED`). Reports its memory, allocation, socket writes and event loop delay over IPC.
import { Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { GCProfiler } from 'node:v8';

export type ProbeRequest =
  | 'probe: memory'
  | 'probe: watch'
  | 'probe: delay'
  | 'probe: watch allocation'
  | 'probe: allocation'
  | 'probe: watch writes'
  | 'probe: writes';

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

let profiler = new GCProfiler();
let usedBefore = 0;

function watchAllocation(): void {
  globalThis.gc?.();
  profiler = new GCProfiler();
  profiler.start();
  usedBefore = process.memoryUsage().heapUsed;
}

/** Sums up how much the heap grows between collections. */
function readAllocation(): number {
  const now = process.memoryUsage().heapUsed;
  let allocated = 0;
  let used = usedBefore;
  for (const { beforeGC, afterGC } of profiler.stop()?.statistics ?? []) {
    allocated += beforeGC.heapStatistics.usedHeapSize - used;
    used = afterGC.heapStatistics.usedHeapSize;
  }
  return allocated + now - used;
}

let writes = new Map<Socket, number>();
let stopCounting = (): void => undefined;

/** Counts the writes of each socket: each call of `_write` or `_writev` is one write to the system. */
function watchWrites(): void {
  writes = new Map();
  const { _write, _writev } = Socket.prototype;
  const count = (socket: Socket): unknown => writes.set(socket, (writes.get(socket) ?? 0) + 1);
  Socket.prototype._write = function (...args) {
    count(this);
    _write.apply(this, args);
  };
  Socket.prototype._writev = function (...args) {
    count(this);
    _writev?.apply(this, args);
  };
  stopCounting = () => Object.assign(Socket.prototype, { _write, _writev });
}

function readWrites(): number[] {
  stopCounting();
  return [...writes.values()];
}

function readDelay(): Delay {
  delay.disable();
  const toDelayMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return { p99: toDelayMs(delay.percentile(99)), max: toDelayMs(delay.max) };
}

process.on('message', (request: ProbeRequest) => {
  if (request === 'probe: memory') process.send?.(readMemory());
  if (request === 'probe: delay') process.send?.(readDelay());
  if (request === 'probe: allocation') process.send?.(readAllocation());
  if (request === 'probe: writes') process.send?.(readWrites());
  if (request === 'probe: watch allocation') {
    watchAllocation();
    process.send?.('watching');
  }
  if (request === 'probe: watch writes') {
    watchWrites();
    process.send?.('watching');
  }
  if (request === 'probe: watch') {
    delay.reset();
    delay.enable();
    process.send?.('watching');
  }
});
// The channel must not keep the process alive.
process.channel?.unref();
