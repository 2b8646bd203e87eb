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

/** The Java client: no cache-busting parameter, binary posts, UTF-8 encoded once. */
export const ANDROID: MobileDialect = {
  query: 'EIO=3',
  headers: { 'user-agent': 'Dalvik/2.1.0 (Linux; U; Android 8.0.0; Pixel Build/OPR6.170623.013)' },
  post: (session, packets) => session.post(encodeBinaryPayload(packets), BINARY),
};

const encodeTwice = (packet: string): string => Buffer.from(packet).toString('latin1');

/** The Swift client: no `EIO`, requests base64, text posts, UTF-8 encoded twice. */
export const IOS: MobileDialect = {
  query: 'b64=1',
  headers: { 'user-agent': 'Neo/1 CFNetwork/976 Darwin/18.2.0' },
  post: (session, packets) => session.post(encodeTextPayload(packets.map(encodeTwice))),
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
  /** Closes as the libraries do, after sending the queued packets. */
  close(): Promise<void>;
}

interface Transport {
  send(packet: string): void;
  /** Resolves once nothing is queued or in flight. */
  flush(): Promise<void>;
}

/** Connects as an app does: over polling, then upgraded to a WebSocket unless `upgrades` is false. Returns after the handshake. */
export async function connectMobileClient(
  url: string,
  dialect: MobileDialect,
  { upgrades = true }: { readonly upgrades?: boolean } = {},
): Promise<MobileClient> {
  const session = await openPollingSession(url, dialect.query, dialect.headers);
  const queue = createReceiveQueue<string>('packets');
  const polling = startPolling(session, dialect, (packet) => queue.push(packet));
  let transport: Transport = polling;
  let socket: WebSocket | undefined;
  let isClosing = false;
  let switching: Promise<void> | undefined;
  const switchTransport = async (webSocket: WebSocket): Promise<void> => {
    await polling.pause();
    webSocket.on('message', (data: Buffer) => queue.push(data.toString()));
    webSocket.send('5');
    transport = createSocketTransport(webSocket);
    for (const packet of polling.takeQueued()) transport.send(packet);
  };
  const upgrade = async (): Promise<void> => {
    socket = await session.openSocket();
    await sendProbe(socket);
    if (isClosing) return socket.terminate();
    switching = switchTransport(socket);
    await switching;
  };
  // Only callers of `waitForUpgrade()` receive the error.
  const upgraded = upgrades ? upgrade() : new Promise<void>(() => {});
  upgraded.catch(() => {});
  const close = async (): Promise<void> => {
    isClosing = true;
    await switching;
    transport.send('41');
    if (transport === polling) transport.send('1');
    await transport.flush();
    socket?.close();
  };
  return {
    ...createPacketConnection((packet) => transport.send(packet), queue),
    sid: session.sid,
    waitForUpgrade: () => upgraded,
    close,
    async [Symbol.asyncDispose]() {
      if (transport === polling) await close().catch(() => {});
      socket?.terminate();
    },
  };
}

/** Starts the polling transport: one request posts all queued packets, and one poll is always open. */
function startPolling(session: PollingSession, dialect: MobileDialect, onPacket: (packet: string) => void) {
  let queued: string[] = [];
  let posting: Promise<void> | undefined;
  let isClosed = false;
  const post = async (): Promise<void> => {
    while (queued.length > 0 && !isClosed) await dialect.post(session, queued.splice(0));
    posting = undefined;
  };
  const poll = async (): Promise<void> => {
    while (!isClosed) {
      const { status, text } = await session.poll();
      if (status !== 200) return;
      for (const packet of decodeTextPayload(text)) {
        if (packet === '1') isClosed = true;
        else if (packet !== '6') onPacket(packet);
      }
    }
  };
  const polling = poll().catch(() => {});
  return {
    send(packet: string): void {
      queued.push(packet);
      posting ??= Promise.resolve().then(post);
    },
    async flush(): Promise<void> {
      await posting;
    },
    /** Stops sending requests. Resolves once those in flight have completed. */
    async pause(): Promise<void> {
      isClosed = true;
      await Promise.all([polling, posting]);
    },
    takeQueued(): readonly string[] {
      const packets = queued;
      queued = [];
      return packets;
    },
  };
}

function createSocketTransport(socket: WebSocket): Transport {
  return {
    send: (packet) => socket.send(packet),
    async flush() {},
  };
}

async function sendProbe(socket: WebSocket): Promise<void> {
  const replyPromise = new Promise<string>((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('close', () => reject(new Error('The upgrade was refused.')));
  });
  socket.send('2probe');
  const reply = await replyPromise;
  if (reply !== '3probe') throw new Error(`Unexpected reply to the probe: ${reply}.`);
}
