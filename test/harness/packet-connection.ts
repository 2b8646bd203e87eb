import { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';

/** A Socket.IO connection. The test writes and reads raw packets. */
export interface PacketConnection extends AsyncDisposable {
  /** Sends a raw packet: `42["message",{}]`. */
  send(packet: string): void;
  /** Sends an event. */
  emit(channel: string, ...args: unknown[]): void;
  /** Resolves with the next packet, or the first with this prefix. */
  next(prefix?: string): Promise<string>;
  /** Sends an event, and returns the packets received before its acknowledgement. */
  request(channel: string, ...args: unknown[]): Promise<string[]>;
  /** Returns the queued packets without taking them. */
  pending(): readonly string[];
}

/** A packet connection over a WebSocket. */
export interface PacketSocket extends PacketConnection {
  readonly socket: WebSocket;
  waitForClose(): Promise<number>;
}

/** Creates the methods of a packet connection over any transport. */
export function createPacketConnection(
  send: (packet: string) => void,
  packets: ReceiveQueue<string>,
): Omit<PacketConnection, typeof Symbol.asyncDispose> {
  const next = (prefix = '') => packets.next((packet) => packet.startsWith(prefix));
  let ackId = 0;
  return {
    send,
    emit: (channel, ...args) => send(`42${JSON.stringify([channel, ...args])}`),
    next,
    async request(channel, ...args) {
      ackId += 1;
      send(`42${ackId}${JSON.stringify([channel, ...args])}`);
      const received: string[] = [];
      for (let packet = await next(); packet !== `43${ackId}[]`; packet = await next()) received.push(packet);
      return received;
    },
    pending: () => packets.pending(),
  };
}

/** Connects with a protocol version. `none` omits `EIO`, as the iOS app does. */
export async function openPacketSocket(
  url: string,
  protocol: 3 | 4 | 'none' = 3,
  { auth }: { readonly auth?: object } = {},
): Promise<PacketSocket> {
  const query = protocol === 'none' ? 'transport=websocket' : `EIO=${protocol}&transport=websocket`;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}`);
  const queue = createReceiveQueue<string>('packets');
  const closes = createReceiveQueue<number>('close');
  socket.on('message', (data: Buffer) => queue.push(data.toString()));
  socket.on('close', (code) => closes.push(code));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const packets = createPacketConnection((packet) => socket.send(packet), queue);
  await packets.next('0');
  if (protocol === 4) packets.send(auth === undefined ? '40' : `40${JSON.stringify(auth)}`);
  await packets.next('40');
  return {
    ...packets,
    socket,
    waitForClose: () => closes.next(),
    async [Symbol.asyncDispose]() {
      socket.terminate();
    },
  };
}
