// The clients of another bench, in a process of their own: many that read, and a few that can be told not to.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** What to open: `readers` connections for each conversation, the first of which asks for much and can be stalled. */
export interface Plan {
  readonly url: string;
  readonly token: string;
  readonly conversations: readonly string[];
  readonly readers: number;
}

export type Order =
  | { readonly type: 'open'; readonly plan: Plan }
  | { readonly type: 'stall' }
  /** Answered once those that were stalled have heard so many messages. */
  | { readonly type: 'resume'; readonly messages: number }
  /** Answered once every reader has heard so many messages since the last time, but those that are stalled. */
  | { readonly type: 'collect'; readonly messages: number };

export type Answer =
  | { readonly type: 'opened' | 'done' }
  /** When which message arrived, at each reader that is never stalled. */
  | { readonly type: 'collected'; readonly arrivals: readonly Arrival[] };

/** A message's id, and the moment, in nanoseconds of the clock that all processes of a machine share. */
export type Arrival = readonly [message: number, at: number];

const LITTLE = 'legacyId';
/** With so many streams on a connection, a few messages are more than the network and the server hold for it. */
const HEAVY_STREAMS = 4;
const MUCH = `legacyId ${Array.from({ length: 10 }, (_, index) => `t${index}: text`).join(' ')}`;
const OPEN_AT_ONCE = 50;

interface Reader {
  readonly socket: WebSocket;
  readonly isHeavy: boolean;
  readonly streams: number;
  heard: number;
}

const readers: Reader[] = [];
let arrivals: Arrival[] = [];
let isStalled = false;

function open({ url, token }: Plan, id: string, isHeavy: boolean): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const streams = isHeavy ? HEAVY_STREAMS : 1;
  const reader: Reader = { socket, isHeavy, streams, heard: 0 };
  let live = 0;
  readers.push(reader);
  const query = `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MessageSent { message { ${isHeavy ? MUCH : LITTLE} } } } }`;
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
        reader.heard += 1;
        if (!isHeavy) arrivals.push([Number(id), Number(process.hrtime.bigint())]);
      }
    });
  });
}

async function openAll(plan: Plan): Promise<void> {
  const places = plan.conversations.flatMap((id) =>
    Array.from({ length: plan.readers }, (_, index) => ({ id, isHeavy: index === 0 })),
  );
  for (let from = 0; from < places.length; from += OPEN_AT_ONCE) {
    const next = places.slice(from, from + OPEN_AT_ONCE);
    await Promise.all(next.map(({ id, isHeavy }) => open(plan, id, isHeavy)));
  }
}

async function heardBy(awaited: readonly Reader[], messages: number): Promise<void> {
  while (awaited.some(({ heard, streams }) => heard < messages * streams)) await pause(50);
  for (const reader of awaited) reader.heard -= messages * reader.streams;
}

async function collect(messages: number): Promise<readonly Arrival[]> {
  await heardBy(
    readers.filter(({ isHeavy }) => !(isHeavy && isStalled)),
    messages,
  );
  const collected = arrivals;
  arrivals = [];
  return collected;
}

async function obey(order: Order): Promise<Answer> {
  if (order.type === 'open') {
    await openAll(order.plan);
    return { type: 'opened' };
  }
  if (order.type === 'collect') return { type: 'collected', arrivals: await collect(order.messages) };
  const heavy = readers.filter(({ isHeavy }) => isHeavy);
  isStalled = order.type === 'stall';
  for (const { socket } of heavy)
    if (isStalled) socket.pause();
    else socket.resume();
  if (order.type === 'resume') await heardBy(heavy, order.messages);
  return { type: 'done' };
}

process.on('message', (order: Order) => void obey(order).then((answer) => process.send?.(answer)));
