import { WebSocket } from 'ws';
import { createInbox } from '../../src/testing/inbox.ts';
import type { Inbox } from '../../src/testing/inbox.ts';

/** A Socket.IO connection on which a test writes and reads raw packets. */
export interface Packets extends AsyncDisposable {
  /** Sends a raw packet: `42["message",{}]`. */
  send(packet: string): void;
  /** Sends an event. */
  emit(channel: string, ...args: unknown[]): void;
  /** Resolves with the next packet, or the first with this prefix. */
  next(begins?: string): Promise<string>;
  /** Sends an event, and returns the packets received before its acknowledgement. */
  ask(channel: string, ...args: unknown[]): Promise<string[]>;
  /** Returns the packets received and not read. */
  waiting(): readonly string[];
}

/** A raw connection over a WebSocket. */
export interface Wire extends Packets {
  readonly socket: WebSocket;
  closed(): Promise<number>;
}

/** Implements raw packets for any transport. */
export function packetsOver(
  send: (packet: string) => void,
  packets: Inbox<string>,
): Omit<Packets, typeof Symbol.asyncDispose> {
  const next = (begins = '') => packets.next((packet) => packet.startsWith(begins));
  let asked = 0;
  return {
    send,
    emit: (channel, ...args) => send(`42${JSON.stringify([channel, ...args])}`),
    next,
    async ask(channel, ...args) {
      asked += 1;
      send(`42${asked}${JSON.stringify([channel, ...args])}`);
      const answers: string[] = [];
      for (let packet = await next(); packet !== `43${asked}[]`; packet = await next()) answers.push(packet);
      return answers;
    },
    waiting: () => packets.waiting(),
  };
}

/** Connects with this protocol. `none` sends no `EIO`, as the iOS app does. */
export async function wire(
  url: string,
  protocol: 3 | 4 | 'none' = 3,
  { auth }: { readonly auth?: object } = {},
): Promise<Wire> {
  const query = protocol === 'none' ? 'transport=websocket' : `EIO=${protocol}&transport=websocket`;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}`);
  const inbox = createInbox<string>('packets');
  const closes = createInbox<number>('close');
  socket.on('message', (data: Buffer) => inbox.push(data.toString()));
  socket.on('close', (code) => closes.push(code));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const packets = packetsOver((packet) => socket.send(packet), inbox);
  await packets.next('0');
  if (protocol === 4) packets.send(auth === undefined ? '40' : `40${JSON.stringify(auth)}`);
  await packets.next('40');
  return {
    ...packets,
    socket,
    closed: () => closes.next(),
    async [Symbol.asyncDispose]() {
      socket.terminate();
    },
  };
}
