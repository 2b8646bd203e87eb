import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EndCount } from '../../live-connections.ts';
import type { ConnectionCount } from './node-connections.ts';

/** The event-loop delay is that of the last one to two of these intervals. */
const DELAY_INTERVAL_MS = 15_000;

/** The state of a node, as it describes itself. JSON. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly name?: string | undefined;
  readonly version: string;
  /** In milliseconds since 1970. */
  readonly startedAt: number;
  /** The address that it listens on; undefined while it starts, and on the server of a host. */
  readonly url?: string | undefined;
  readonly connections: readonly ConnectionCount[];
  readonly ends: readonly EndCount[];
  /** The 99th percentile of the last seconds. */
  readonly eventLoopDelayMs: number;
  /** Undefined for a single process, which has no bus. */
  readonly isBusConnected?: boolean | undefined;
  /** Why it works less well than it should. */
  readonly degradation?: string | undefined;
  /** Committed events that it knows of and has not delivered, of the topic with the most. */
  readonly logLag: number;
}

export interface EventLoopDelay extends Disposable {
  /** The 99th percentile of the last seconds. */
  readonly ms: number;
}

export function watchEventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: 20 });
  histogram.enable();
  const read = (): number => (histogram.count === 0 ? 0 : histogram.percentile(99) / 1e6);
  let former = 0;
  const timer = setInterval(() => {
    former = read();
    histogram.reset();
  }, DELAY_INTERVAL_MS);
  timer.unref();
  return {
    get ms() {
      return Math.max(former, read());
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
