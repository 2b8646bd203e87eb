import type { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import {
  BINARY,
  encodeBinaryPayload,
  openPollingSession,
  decodeTextPayload,
  encodeTextPayload,
} from './engine-io.ts';
import type { PollingSession } from './engine-io.ts';
import { createPacketConnection } from './packet-connection.ts';
import type { PacketConnection } from './packet-connection.ts';

/** A mobile client's dialect of Engine.IO 3. */
export interface MobileDialect {
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  post(session: PollingSession, packets: readonly string[]): Promise<unknown>;
}

/** The Java client: no cache-busting stamp, binary posts, UTF-8 encoded once. */
export const ANDROID: MobileDialect = {
  query: 'EIO=3',
  headers: { 'user-agent': 'Dalvik/2.1.0 (Linux; U; Android 8.0.0; Pixel Build/OPR6.170623.013)' },
  post: (session, packets) => session.post(encodeBinaryPayload(packets), BINARY),
};

const utf8AsText = (packet: string): string => Buffer.from(packet).toString('latin1');

/** The Swift client: no `EIO`, requests base64, text posts, UTF-8 encoded twice. */
export const IOS: MobileDialect = {
  query: 'b64=1',
  headers: { 'user-agent': 'Neo/1 CFNetwork/976 Darwin/18.2.0' },
  post: (session, packets) => session.post(encodeTextPayload(packets.map(utf8AsText))),
};

/** Later versions of the Swift client, which encode once. */
export const IOS_ENCODING_ONCE: MobileDialect = {
  ...IOS,
  post: (session, packets) => session.post(encodeTextPayload(packets)),
};

export interface MobileClient extends PacketConnection {
  readonly sid: string;
  /** Resolves once the session is upgraded to its WebSocket. */
  waitForUpgrade(): Promise<void>;
  /** Closes as the libraries do, after sending what is queued. */
  close(): Promise<void>;
}

interface Line {
  send(packet: string): void;
  /** Resolves once nothing is queued or in flight. */
  sent(): Promise<void>;
}

/** Connects as an app does: over polling, then over a WebSocket unless `upgrades` is false. Returns after the handshake. */
export async function connectMobileClient(
  url: string,
  model: MobileDialect,
  { upgrades = true }: { readonly upgrades?: boolean } = {},
): Promise<MobileClient> {
  const session = await openPollingSession(url, model.query, model.headers);
  const inbox = createReceiveQueue<string>('packets');
  const polling = pollingLine(session, model, (packet) => inbox.push(packet));
  let line: Line = polling;
  let socket: WebSocket | undefined;
  let closing = false;
  let pausing: Promise<void> | undefined;
  const takeOver = async (by: WebSocket): Promise<void> => {
    await polling.pause();
    by.on('message', (data: Buffer) => inbox.push(data.toString()));
    by.send('5');
    line = socketLine(by);
    for (const packet of polling.unsent()) line.send(packet);
  };
  const upgrade = async (): Promise<void> => {
    socket = await session.openSocket();
    await probe(socket);
    if (closing) return socket.terminate();
    pausing = takeOver(socket);
    await pausing;
  };
  // Callers of `upgraded()` receive the error; others do not wait for the upgrade.
  const upgraded = upgrades ? upgrade() : new Promise<void>(() => {});
  upgraded.catch(() => {});
  const close = async (): Promise<void> => {
    closing = true;
    await pausing;
    line.send('41');
    if (line === polling) line.send('1');
    await line.sent();
    socket?.close();
  };
  return {
    ...createPacketConnection((packet) => line.send(packet), inbox),
    sid: session.sid,
    waitForUpgrade: () => upgraded,
    close,
    async [Symbol.asyncDispose]() {
      if (line === polling) await close().catch(() => {});
      socket?.terminate();
    },
  };
}

/** Posts all queued packets in one request at a time, and keeps one poll open. */
function pollingLine(session: PollingSession, model: MobileDialect, onPacket: (packet: string) => void) {
  let waiting: string[] = [];
  let posting: Promise<void> | undefined;
  let over = false;
  const post = async (): Promise<void> => {
    while (waiting.length > 0 && !over) await model.post(session, waiting.splice(0));
    posting = undefined;
  };
  const poll = async (): Promise<void> => {
    while (!over) {
      const { status, text } = await session.poll();
      if (status !== 200) return;
      for (const packet of decodeTextPayload(text)) {
        if (packet === '1') over = true;
        else if (packet !== '6') onPacket(packet);
      }
    }
  };
  const polling = poll().catch(() => {});
  return {
    send(packet: string): void {
      waiting.push(packet);
      posting ??= Promise.resolve().then(post);
    },
    async sent(): Promise<void> {
      await posting;
    },
    /** Starts no further request. Resolves once those in flight are answered. */
    async pause(): Promise<void> {
      over = true;
      await Promise.all([polling, posting]);
    },
    unsent(): readonly string[] {
      const packets = waiting;
      waiting = [];
      return packets;
    },
  };
}

function socketLine(socket: WebSocket): Line {
  return {
    send: (packet) => socket.send(packet),
    async sent() {},
  };
}

async function probe(socket: WebSocket): Promise<void> {
  const answered = new Promise<string>((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('close', () => reject(new Error('The upgrade was refused.')));
  });
  socket.send('2probe');
  const answer = await answered;
  if (answer !== '3probe') throw new Error(`The probe was answered by ${answer}.`);
}
