import { WebSocket } from 'ws';

/** The response to one request. */
export interface EngineIoResponse {
  readonly status: number;
  readonly type: string | null;
  readonly bytes: Buffer;
  /** The body as UTF-8. */
  readonly text: string;
}

/** An Engine.IO polling session. The test makes each request. */
export interface PollingSession {
  readonly sid: string;
  /** The response to the handshake. */
  readonly handshake: EngineIoResponse;
  poll(): Promise<EngineIoResponse>;
  /** Sends an encoded payload. Rejects if the server aborts the request. */
  post(body: string | Uint8Array, contentType?: string): Promise<EngineIoResponse>;
  /** Opens a WebSocket that requests the upgrade of the session. */
  openSocket(): Promise<WebSocket>;
}

const TEXT = 'text/plain;charset=UTF-8';
export const BINARY = 'application/octet-stream';

/** Opens a session with a query such as `EIO=3&b64=1`. Every request has the headers. */
export async function openPollingSession(
  url: string,
  query: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<PollingSession> {
  const path = `/socket.io/?${query}${query === '' ? '' : '&'}transport=`;
  const sendRequest = async (address: string, init: RequestInit = { headers }): Promise<EngineIoResponse> => {
    const response = await fetch(address, init);
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      bytes,
      text: bytes.toString(),
    };
  };
  const handshake = await sendRequest(`${url}${path}polling`);
  const sid = /"sid\\?":\\?"([^"\\]+)\\?"/.exec(handshake.bytes.toString('latin1'))?.[1] ?? '';
  const address = `${url}${path}polling&sid=${sid}`;
  return {
    sid,
    handshake,
    poll: () => sendRequest(address),
    post: (body, contentType = TEXT) =>
      sendRequest(address, {
        method: 'POST',
        body: Buffer.from(body),
        headers: { ...headers, 'content-type': contentType },
      }),
    async openSocket() {
      const socket = new WebSocket(`${url.replace('http', 'ws')}${path}websocket&sid=${sid}`, { headers });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      return socket;
    },
  };
}

/** Encodes a text payload of protocol 3: `6:4hello1:2`. */
export const encodeTextPayload = (packets: readonly string[]): string =>
  packets.map((packet) => `${packet.length}:${packet}`).join('');

/** Encodes a binary payload of protocol 3: for each packet a 0, the digits of its length, 255, and its UTF-8. */
export const encodeBinaryPayload = (packets: readonly string[]): Buffer =>
  Buffer.concat(
    packets.flatMap((packet) => {
      const body = Buffer.from(packet);
      return [Buffer.from([0, ...Array.from(String(body.length), Number), 255]), body];
    }),
  );

/** Encodes a payload of protocol 4. */
export const encodePayload = (packets: readonly string[]): string => packets.join('\u001e');

/** Decodes a text payload of protocol 3. */
export function decodeTextPayload(payload: string): string[] {
  const packets: string[] = [];
  for (let offset = 0; offset < payload.length;) {
    const colon = payload.indexOf(':', offset);
    const end = colon + 1 + Number(payload.slice(offset, colon));
    packets.push(payload.slice(colon + 1, end));
    offset = end;
  }
  return packets;
}

/** Requests a WebSocket that the server must refuse, and returns the status and body of the response. */
export async function readUpgradeError(url: string, query: string): Promise<string> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}`);
  return new Promise((resolve, reject) => {
    socket.on('open', () => reject(new Error('The WebSocket was opened.')));
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(`${response.statusCode} ${Buffer.concat(chunks).toString()}`));
    });
  });
}

/** Decodes the handshake in a packet `0{…}`. */
export const decodeHandshake = (packet: string): Record<string, unknown> => {
  if (!packet.startsWith('0')) throw new Error(`Not a handshake: ${packet}`);
  return JSON.parse(packet.slice(1)) as Record<string, unknown>;
};
