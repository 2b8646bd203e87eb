// The senders of another bench, in a process of their own: each sends its next message when the last one was answered.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Member } from './seed-accounts.ts';

export interface Sending {
  readonly type: 'open';
  readonly url: string;
  /** Each sends to its conversation. */
  readonly senders: readonly Member[];
}

export type Order = Sending | { readonly type: 'send'; readonly ms: number } | { readonly type: 'close' };

/** What was done in a round; the times are those from a send to its answer. */
export interface Sent {
  readonly sends: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

const TEXT = '.'.repeat(200);
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id sentAt } } }';

let sendNext: (() => Promise<void>)[] = [];
const sockets: WebSocket[] = [];

async function open(url: string, { token, conversation }: Member): Promise<() => Promise<void>> {
  const socket = new WebSocket(url, 'graphql-transport-ws');
  sockets.push(socket);
  let answered: ((text: string) => void) | undefined;
  const ask = (frame: object): Promise<string> =>
    new Promise((resolve) => {
      answered = resolve;
      socket.send(JSON.stringify(frame));
    });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  let number = 0;
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (!text.startsWith('{"id"') || text.includes('"type":"next"')) answered?.(text);
    else if (!text.includes('"type":"complete"')) throw new Error(`An unexpected frame: ${text}`);
  });
  await ask({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  return async () => {
    number += 1;
    const payload = { query: SEND, variables: { id: conversation, text: TEXT } };
    const answer = await ask({ id: `${number}`, type: 'subscribe', payload });
    if (!answer.includes('"sentAt"')) throw new Error(`A send was refused: ${answer}`);
  };
}

async function sendFor(ms: number): Promise<Sent> {
  const until = performance.now() + ms;
  const times: number[] = [];
  const sendOn = async (send: () => Promise<void>): Promise<void> => {
    for (let before = performance.now(); before < until; before = performance.now()) {
      await send();
      times.push(performance.now() - before);
    }
  };
  await Promise.all(sendNext.map(sendOn));
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.floor(times.length * part)] ?? NaN;
  return { sends: times.length, medianMs: at(0.5), p99Ms: at(0.99) };
}

async function obey(order: Order): Promise<Sent | 'done'> {
  if (order.type === 'send') return sendFor(order.ms);
  if (order.type === 'open') {
    sendNext = await Promise.all(order.senders.map((sender) => open(order.url, sender)));
  } else {
    for (const socket of sockets.splice(0)) socket.terminate();
    await pause(100);
  }
  return 'done';
}

process.on('message', (order: Order) => void obey(order).then((answer) => process.send?.(answer)));
