// Runs the senders of the sends bench in a separate process: each sends the next message after the result of the last one.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { percentile } from './measure.ts';
import type { Member } from './seed-accounts.ts';

export interface OpenCommand {
  readonly type: 'open';
  readonly url: string;
  /** Each sends to its own conversation. */
  readonly senders: readonly Member[];
}

export type Command =
  OpenCommand | { readonly type: 'send'; readonly ms: number } | { readonly type: 'close' };

/** Result of a round. Times are from a send to its result. */
export interface RoundResult {
  readonly sends: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

const TEXT = '.'.repeat(200);
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id sentAt } } }';

let sendNext: (() => Promise<void>)[] = [];
const sockets: WebSocket[] = [];

async function openSender(url: string, { token, conversation }: Member): Promise<() => Promise<void>> {
  const socket = new WebSocket(url, 'graphql-transport-ws');
  sockets.push(socket);
  let onReply: ((text: string) => void) | undefined;
  const request = (frame: object): Promise<string> =>
    new Promise((resolve) => {
      onReply = resolve;
      socket.send(JSON.stringify(frame));
    });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  let number = 0;
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (!text.startsWith('{"id"') || text.includes('"type":"next"')) onReply?.(text);
    else if (!text.includes('"type":"complete"')) throw new Error(`An unexpected frame: ${text}`);
  });
  await request({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  return async () => {
    number += 1;
    const payload = { query: SEND, variables: { id: conversation, text: TEXT } };
    const reply = await request({ id: `${number}`, type: 'subscribe', payload });
    if (!reply.includes('"sentAt"')) throw new Error(`A send failed: ${reply}`);
  };
}

async function sendFor(ms: number): Promise<RoundResult> {
  const deadline = performance.now() + ms;
  const delays: number[] = [];
  const sendRepeatedly = async (send: () => Promise<void>): Promise<void> => {
    for (let startedAt = performance.now(); startedAt < deadline; startedAt = performance.now()) {
      await send();
      delays.push(performance.now() - startedAt);
    }
  };
  await Promise.all(sendNext.map(sendRepeatedly));
  delays.sort((a, b) => a - b);
  return { sends: delays.length, medianMs: percentile(delays, 0.5), p99Ms: percentile(delays, 0.99) };
}

async function handle(command: Command): Promise<RoundResult | 'done'> {
  if (command.type === 'send') return sendFor(command.ms);
  if (command.type === 'open') {
    sendNext = await Promise.all(command.senders.map((sender) => openSender(command.url, sender)));
  } else {
    for (const socket of sockets.splice(0)) socket.terminate();
    await pause(100);
  }
  return 'done';
}

process.on('message', (command: Command) => void handle(command).then((reply) => process.send?.(reply)));
