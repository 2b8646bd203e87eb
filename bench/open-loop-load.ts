// Open-loop load: sends messages at a fixed rate, without waiting for replies.
import { performance } from 'node:perf_hooks';
import { startLoadClients } from './load-clients.ts';
import { cpuDuring, percentile } from './measure.ts';
import { createFrame } from './client-scripts.ts';
import type { ClientScript } from './load-client-process.ts';
import type { Figures } from './rounds.ts';

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

/**
 * `p50` and `p99`: delay from the scheduled time of a message to its receipt, in milliseconds. `cpuUs`: server CPU time per message, in
 * microseconds. `busy`: share of one core; 1 is saturation. `lost`: deliveries missing at the end.
 */
export type LoadResult = Figures<'p50' | 'p99' | 'cpuUs' | 'busy' | 'lost'>;

/** Connected clients that all send in turn. */
export interface OpenLoop extends AsyncDisposable {
  run(): Promise<LoadResult>;
}

/** Connects the clients, and warms them up for a second. */
export async function openLoad(
  pid: number,
  script: ClientScript,
  { message, perSecond, seconds, receivers }: LoadOptions,
): Promise<OpenLoop> {
  await using stack = new AsyncDisposableStack();
  const clients = stack.use(startLoadClients());
  await clients.run(script);
  const load = { type: 'load', message, perSecond, receivers } as const;
  await clients.run({ ...load, messages: perSecond });
  const messages = perSecond * seconds;
  const resources = stack.move();
  return {
    async run() {
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
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
