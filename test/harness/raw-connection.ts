import { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import { encodePayload, openPollingSession, decodeTextPayload, encodeTextPayload } from './engine-io.ts';

/** A text frame, or a binary one. */
export type RawFrame = string | Buffer;

/** An Engine.IO connection for packets that no client library sends. Its end is received as a packet. */
export interface RawConnection extends AsyncDisposable {
  /** Sends the frames in one batch. Resolves with `ok`, or with `aborted` if their request was aborted. */
  send(...frames: readonly RawFrame[]): Promise<string>;
  /** Resolves with the next packet; `closed …` after the last. */
  next(): Promise<string>;
}

export type Protocol = 3 | 4;
export type TransportName = 'websocket' | 'polling';

/** Opens a connection without reading a packet. */
export const openRawConnection = (
  url: string,
  protocol: Protocol,
  transport: TransportName,
): Promise<RawConnection> =>
  transport === 'polling' ? openPolling(url, protocol) : openWebSocket(url, protocol);

/** Opens a connection to the namespace `/`, and reads the packets of the handshake. */
export async function connectRawConnection(
  url: string,
  protocol: Protocol,
  transport: TransportName,
): Promise<RawConnection> {
  const connection = await openRawConnection(url, protocol, transport);
  await connection.next();
  if (protocol === 4) await connection.send('40');
  await connection.next();
  return connection;
}

/** Reads packets up to and including `lastPacket`, or the end of the connection. */
export async function readPacketsUntil(connection: RawConnection, lastPacket: string): Promise<string[]> {
  const packets: string[] = [];
  for (;;) {
    const packet = await connection.next();
    packets.push(packet);
    if (packet === lastPacket || packet.startsWith('closed')) return packets;
  }
}

async function openWebSocket(url: string, protocol: Protocol): Promise<RawConnection> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=${protocol}&transport=websocket`);
  const queue = createReceiveQueue<string>('packets');
  socket.on('message', (data: Buffer, isBinary) =>
    queue.push(isBinary ? `binary ${data.toString('hex')}` : data.toString()),
  );
  socket.on('close', (code) => queue.push(`closed ${code}`));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('error', () => {});
  return {
    async send(...frames) {
      for (const frame of frames) socket.send(frame);
      return 'ok';
    },
    next: () => queue.next(),
    async [Symbol.asyncDispose]() {
      socket.terminate();
    },
  };
}

async function openPolling(url: string, protocol: Protocol): Promise<RawConnection> {
  const session = await openPollingSession(url, protocol === 3 ? 'EIO=3&b64=1' : 'EIO=4');
  const read = (payload: string) => (protocol === 3 ? decodeTextPayload(payload) : payload.split('\u001e'));
  const queued = read(session.handshake.text);
  return {
    async send(...frames) {
      const packets = frames.map((frame) =>
        typeof frame === 'string' ? frame : encodeBinary(frame, protocol),
      );
      const payload = protocol === 3 ? encodeTextPayload(packets) : encodePayload(packets);
      try {
        return (await session.post(payload)).text;
      } catch {
        return 'aborted';
      }
    },
    async next() {
      while (queued.length === 0) {
        const { status, text } = await session.poll();
        queued.push(...(status === 200 ? read(text) : [`closed ${status} ${text}`]));
      }
      return queued.shift() ?? '';
    },
    async [Symbol.asyncDispose]() {
      await session.post(protocol === 3 ? '1:1' : '1').catch(() => {});
    },
  };
}

/** Encodes a binary frame for a text payload. In protocol 3 its first byte is the packet type. */
const encodeBinary = (frame: Buffer, protocol: Protocol): string =>
  protocol === 4 ? `b${frame.toString('base64')}` : `b${frame[0]}${frame.subarray(1).toString('base64')}`;
