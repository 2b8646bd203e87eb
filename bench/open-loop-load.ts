// Messages at an even pace, whether or not anybody keeps up.
import { performance } from 'node:perf_hooks';
import { startAudience } from './load-clients.ts';
import { cpuDuring } from './measure.ts';
import { frameOf } from './client-scripts.ts';
import type { Opening } from './load-client-process.ts';

const BYTES = 200;
const STAMP = '~<stamp>~';
const MUTATION =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** What a member says to a GraphQL server. */
export const SEND = JSON.stringify({
  id: 'send <number>',
  type: 'subscribe',
  payload: { query: MUTATION, variables: { id: '<conversation>', text: STAMP.padEnd(BYTES, '.') } },
});
/** What it says to a bare WebSocket server: what the others shall hear. */
export const FRAME = frameOf(BYTES, STAMP);

export interface Pace {
  readonly line: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** How many hear each line. */
  readonly hearers: number;
}

export interface Paced {
  /** From the moment at which a line was due until it was heard, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Processor time of the server for each line, in microseconds. */
  readonly cpuUs: number;
  /** Processor time of the server for each second: at 1 it can do no more. */
  readonly busy: number;
  /** Deliveries that had not come long after the last line. */
  readonly lost: number;
}

const place = (sorted: readonly number[], part: number): number =>
  sorted[Math.floor(sorted.length * part)] ?? NaN;

/** Has many say a line in turn to the server of a process, after a second of the same to warm up. */
export async function paced(
  pid: number,
  opening: Opening,
  { line, perSecond, seconds, hearers }: Pace,
): Promise<Paced> {
  await using audience = startAudience();
  await audience.order(opening);
  const talk = { type: 'talk', line, perSecond, hearers } as const;
  await audience.order({ ...talk, lines: perSecond });
  const lines = perSecond * seconds;
  const begun = performance.now();
  let delays: readonly number[] = [];
  const busyMs = await cpuDuring(pid, async () => {
    ({ delays } = await audience.attempt({ ...talk, lines }));
  });
  const sorted = delays.toSorted((a, b) => a - b);
  return {
    p50: place(sorted, 0.5),
    p99: place(sorted, 0.99),
    cpuUs: (busyMs * 1_000) / lines,
    busy: busyMs / (performance.now() - begun),
    lost: lines * hearers - delays.length,
  };
}
