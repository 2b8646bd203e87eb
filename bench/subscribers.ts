// The clients of another bench, in a process of their own: many sockets that say the same and count what they hear.
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

export type Order =
  /** Opens so many sockets, each of which sends `first`, then `then` once it has heard something; done when all have heard `ready`. */
  | {
      readonly type: 'open';
      readonly url: string;
      readonly protocol: string | undefined;
      readonly count: number;
      readonly greeting: readonly string[];
      readonly ready: string;
    }
  /** Answered once every socket has heard so many frames since the last time. */
  | { readonly type: 'collect'; readonly frames: number }
  | { readonly type: 'close' };

const OPEN_AT_ONCE = 50;

let sockets: WebSocket[] = [];
const heard = new Map<WebSocket, number>();

type Opening = Extract<Order, { type: 'open' }>;

/** Each line of the greeting is said when the one before it was answered. */
function open({ url, protocol, greeting, ready }: Opening): Promise<void> {
  const socket = new WebSocket(url, protocol);
  sockets.push(socket);
  const lines = [...greeting];
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const line = lines.shift();
      if (line !== undefined) socket.send(line);
    };
    const begun = (data: Buffer): void => {
      if (!data.toString().includes(ready)) return next();
      socket.off('message', begun);
      heard.set(socket, 0);
      socket.on('message', () => heard.set(socket, (heard.get(socket) ?? 0) + 1));
      resolve();
    };
    socket.once('error', reject);
    socket.once('open', next);
    socket.on('message', begun);
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
    for (const socket of sockets) socket.terminate();
    sockets = [];
    heard.clear();
  }
}

process.on('message', (order: Order) => void obey(order).then(() => process.send?.('done')));
