import { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import { encodePayload, openPollingSession, decodeTextPayload, encodeTextPayload } from './engine-io.ts';

/** A text frame, or a binary one. */
export type RawFrame = string | Buffer;

/** An Engine.IO connection for packets that no client sends. The end of the connection is received as a packet, too. */
export interface RawConnection extends AsyncDisposable {
  /** Sends the frames in one batch. Resolves with `ok`, or with `aborted` if their request was aborted. */
  send(...frames: readonly RawFrame[]): Promise<string>;
  /** Resolves with the next packet; `closed …` after the last. */
  next(): Promise<string>;
}

export type Protocol = 3 | 4;
export type TransportName = 'websocket' | 'polling';

/** Opens a connection, of which no packet is read yet. */
export const openRawConnection = (
  url: string,
  protocol: Protocol,
  transport: TransportName,
): Promise<RawConnection> =>
  transport === 'polling' ? pollingLine(url, protocol) : socketLine(url, protocol);

/** Opens a connection to the namespace `/`, and reads the packets of the handshake. */
export async function connectRawConnection(
  url: string,
  protocol: Protocol,
  transport: TransportName,
): Promise<RawConnection> {
  const line = await openRawConnection(url, protocol, transport);
  await line.next();
  if (protocol === 4) await line.send('40');
  await line.next();
  return line;
}

/** Reads packets up to this one, or to the end of the connection. */
export async function readPacketsUntil(line: RawConnection, last: string): Promise<string[]> {
  const heard: string[] = [];
  for (;;) {
    const packet = await line.next();
    heard.push(packet);
    if (packet === last || packet.startsWith('closed')) return heard;
  }
}

async function socketLine(url: string, protocol: Protocol): Promise<RawConnection> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=${protocol}&transport=websocket`);
  const inbox = createReceiveQueue<string>('packets');
  socket.on('message', (data: Buffer, isBinary) =>
    inbox.push(isBinary ? `binary ${data.toString('hex')}` : data.toString()),
  );
  socket.on('close', (code) => inbox.push(`closed ${code}`));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('error', () => {});
  return {
    async send(...frames) {
      for (const frame of frames) socket.send(frame);
      return 'ok';
    },
    next: () => inbox.next(),
    async [Symbol.asyncDispose]() {
      socket.terminate();
    },
  };
}

async function pollingLine(url: string, protocol: Protocol): Promise<RawConnection> {
  const session = await openPollingSession(url, protocol === 3 ? 'EIO=3&b64=1' : 'EIO=4');
  const read = (payload: string) => (protocol === 3 ? decodeTextPayload(payload) : payload.split('\u001e'));
  const waiting = read(session.handshake.text);
  return {
    async send(...frames) {
      const packets = frames.map((frame) => (typeof frame === 'string' ? frame : base64(frame, protocol)));
      const payload = protocol === 3 ? encodeTextPayload(packets) : encodePayload(packets);
      try {
        return (await session.post(payload)).text;
      } catch {
        return 'aborted';
      }
    },
    async next() {
      while (waiting.length === 0) {
        const { status, text } = await session.poll();
        waiting.push(...(status === 200 ? read(text) : [`closed ${status} ${text}`]));
      }
      return waiting.shift() ?? '';
    },
    async [Symbol.asyncDispose]() {
      await session.post(protocol === 3 ? '1:1' : '1').catch(() => {});
    },
  };
}

/** A binary frame within a text payload: with protocol 3 its first byte is the type. */
const base64 = (frame: Buffer, protocol: Protocol): string =>
  protocol === 4 ? `b${frame.toString('base64')}` : `b${frame[0]}${frame.subarray(1).toString('base64')}`;
