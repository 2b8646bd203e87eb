// Runs the readers of the slow-readers bench in a separate process. Some of them can be stalled.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** Opens `readers` connections per conversation. The first of them has a large selection and can be stalled. */
export interface Plan {
  readonly url: string;
  readonly token: string;
  readonly conversations: readonly string[];
  readonly readers: number;
}

export type Command =
  | { readonly type: 'open'; readonly plan: Plan }
  | { readonly type: 'stall' }
  /** Completes once the stalled readers have received so many messages. */
  | { readonly type: 'resume'; readonly messages: number }
  /** Completes once every reader, except stalled ones, has received so many messages since the last call. */
  | { readonly type: 'collect'; readonly messages: number };

export type Reply =
  | { readonly type: 'opened' | 'done' }
  /** Arrivals at the readers that are never stalled. */
  | { readonly type: 'collected'; readonly arrivals: readonly Arrival[] };

/** Message id and arrival time, in nanoseconds of the monotonic clock that all processes share. */
export type Arrival = readonly [message: number, at: number];

const LIGHT_SELECTION = 'legacyId';
/** So many streams per connection overflow the network and server buffers after a few messages. */
const HEAVY_STREAMS = 4;
const HEAVY_SELECTION = `legacyId ${Array.from({ length: 10 }, (_, index) => `t${index}: text`).join(' ')}`;
const CONCURRENCY = 50;

interface Reader {
  readonly socket: WebSocket;
  readonly isHeavy: boolean;
  readonly streams: number;
  received: number;
}

const readers: Reader[] = [];
let arrivals: Arrival[] = [];
let isStalled = false;

function connect({ url, token }: Plan, id: string, isHeavy: boolean): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const streams = isHeavy ? HEAVY_STREAMS : 1;
  const reader: Reader = { socket, isHeavy, streams, received: 0 };
  let live = 0;
  readers.push(reader);
  const query = `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MessageSent { message { ${isHeavy ? HEAVY_SELECTION : LIGHT_SELECTION} } } } }`;
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('close', reject);
    socket.once('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })),
    );
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text.includes('connection_ack'))
        for (let stream = 1; stream <= streams; stream += 1)
          socket.send(
            JSON.stringify({ id: `${stream}`, type: 'subscribe', payload: { query, variables: { id } } }),
          );
      else if (text.includes('StreamLive')) {
        live += 1;
        if (live === streams) resolve();
      } else {
        const id = /"legacyId":(\d+)/.exec(text)?.[1];
        if (id === undefined) return;
        reader.received += 1;
        if (!isHeavy) arrivals.push([Number(id), Number(process.hrtime.bigint())]);
      }
    });
  });
}

async function connectAll(plan: Plan): Promise<void> {
  const connections = plan.conversations.flatMap((id) =>
    Array.from({ length: plan.readers }, (_, index) => ({ id, isHeavy: index === 0 })),
  );
  for (let from = 0; from < connections.length; from += CONCURRENCY) {
    const next = connections.slice(from, from + CONCURRENCY);
    await Promise.all(next.map(({ id, isHeavy }) => connect(plan, id, isHeavy)));
  }
}

async function waitForMessages(expected: readonly Reader[], messages: number): Promise<void> {
  while (expected.some(({ received, streams }) => received < messages * streams)) await pause(50);
  for (const reader of expected) reader.received -= messages * reader.streams;
}

async function collect(messages: number): Promise<readonly Arrival[]> {
  await waitForMessages(
    readers.filter(({ isHeavy }) => !(isHeavy && isStalled)),
    messages,
  );
  const received = arrivals;
  arrivals = [];
  return received;
}

async function handle(command: Command): Promise<Reply> {
  if (command.type === 'open') {
    await connectAll(command.plan);
    return { type: 'opened' };
  }
  if (command.type === 'collect') return { type: 'collected', arrivals: await collect(command.messages) };
  const heavy = readers.filter(({ isHeavy }) => isHeavy);
  isStalled = command.type === 'stall';
  for (const { socket } of heavy)
    if (isStalled) socket.pause();
    else socket.resume();
  if (command.type === 'resume') await waitForMessages(heavy, command.messages);
  return { type: 'done' };
}

process.on('message', (command: Command) => void handle(command).then((reply) => process.send?.(reply)));
