// Open-loop load: sends messages at a fixed rate, without waiting for replies.
import { performance } from 'node:perf_hooks';
import { startLoadClients } from './load-clients.ts';
import { cpuDuring, percentile } from './measure.ts';
import { createFrame } from './client-scripts.ts';
import type { ClientScript } from './load-client-process.ts';

const BYTES = 200;
const STAMP = '~<stamp>~';
const MUTATION =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** The message that a member sends to a GraphQL server. */
export const SEND = JSON.stringify({
  id: 'send <number>',
  type: 'subscribe',
  payload: { query: MUTATION, variables: { id: '<conversation>', text: STAMP.padEnd(BYTES, '.') } },
});
/** The message for a bare WebSocket server, which echoes it to the room. */
export const FRAME = createFrame(BYTES, STAMP);

export interface LoadOptions {
  readonly message: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** Receivers per message. */
  readonly receivers: number;
}

export interface LoadResult {
  /** Delay from the scheduled time of a message to its receipt, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Server CPU time per message, in microseconds. */
  readonly cpuUs: number;
  /** Share of one core: 1 is saturation. */
  readonly busy: number;
  /** Deliveries missing at the end. */
  readonly lost: number;
}

/** Runs the load from all clients in turn, after one second of warm-up. */
export async function runLoad(
  pid: number,
  script: ClientScript,
  { message, perSecond, seconds, receivers }: LoadOptions,
): Promise<LoadResult> {
  await using clients = startLoadClients();
  await clients.run(script);
  const load = { type: 'load', message, perSecond, receivers } as const;
  await clients.run({ ...load, messages: perSecond });
  const messages = perSecond * seconds;
  const startedAt = performance.now();
  let delays: readonly number[] = [];
  const busyMs = await cpuDuring(pid, async () => {
    ({ delays } = await clients.attempt({ ...load, messages }));
  });
  const sorted = delays.toSorted((a, b) => a - b);
  return {
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    cpuUs: (busyMs * 1_000) / messages,
    busy: busyMs / (performance.now() - startedAt),
    lost: messages * receivers - delays.length,
  };
}
