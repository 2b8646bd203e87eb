// The clients of another bench, in a process of their own: many sockets that say the same and count what they hear.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface Opening {
  readonly type: 'open';
  readonly url: string;
  readonly protocol?: string;
  readonly count: number;
  /** Each line is said when the one before it was answered, the first at once; an empty one is only waited for. `<id>` stands for a text that no other socket says. */
  readonly greeting: readonly string[];
  /** Part of what is heard when a socket is ready. */
  readonly ready: string;
  /** How every frame begins that is counted. */
  readonly counted: string;
}

export type Order =
  /** Answered when all are ready. */
  | Opening
  /** Answered once every socket has heard so many frames since the last time. */
  | { readonly type: 'collect'; readonly frames: number }
  | { readonly type: 'close' };

const OPEN_AT_ONCE = 50;
/** Of Engine.IO. */
const [PING, PONG] = ['2', '3'];

const heard = new Map<WebSocket, number>();

function open({ url, protocol, greeting, ready, counted }: Opening): Promise<void> {
  const socket = new WebSocket(url, protocol);
  const id = crypto.randomUUID();
  const lines = greeting.map((line) => line.replaceAll('<id>', id));
  heard.set(socket, 0);
  const count = (data: Buffer): void => {
    const text = data.toString();
    if (text.startsWith(counted)) heard.set(socket, (heard.get(socket) ?? 0) + 1);
    else if (text === PING) socket.send(PONG);
  };
  return new Promise((resolve, reject) => {
    const sayNext = (): void => {
      const line = lines.shift() ?? '';
      if (line !== '') socket.send(line);
    };
    const begin = (data: Buffer): void => {
      if (!data.toString().includes(ready)) return sayNext();
      socket.off('message', begin).on('message', count);
      resolve();
    };
    socket.once('error', reject).once('open', sayNext).on('message', begin);
  });
}

async function obey(order: Order): Promise<void> {
  if (order.type === 'open') {
    for (let left = order.count; left > 0; left -= OPEN_AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(left, OPEN_AT_ONCE) }, () => open(order)));
  } else if (order.type === 'collect') {
    while ([...heard.values()].some((frames) => frames < order.frames)) await pause(20);
    for (const [socket, frames] of heard) heard.set(socket, frames - order.frames);
  } else {
    for (const socket of heard.keys()) socket.terminate();
    heard.clear();
  }
}

process.on('message', (order: Order) => void obey(order).then(() => process.send?.('done')));
