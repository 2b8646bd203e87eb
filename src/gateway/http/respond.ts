import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '../../errors.ts';
import { challengeOf } from '../identity.ts';

const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** A request that is refused before any handler has seen it. */
export interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Readable as a result of GraphQL too, whose clients show `errors`. */
const bodyOf = ({ code, message }: Refusal): object => ({
  message,
  code,
  errors: [{ message, extensions: { code } }],
});

/** Answers with the refusal as JSON. */
export const sendRefusal = (response: ServerResponse, refusal: Refusal): void =>
  sendJson(response, refusal.status, bodyOf(refusal));

/** The whole response to a handshake that is refused, which no `ServerResponse` writes. */
export function encodeRefusal(refusal: Refusal): string {
  const body = JSON.stringify(bodyOf(refusal));
  return [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}

/** Answers with a JSON body, which no cache may keep. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  if (status === 401) response.setHeader('www-authenticate', challengeOf(response.req));
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}

/**
 * Lets the rest of a request go by, so that a client that is still sending reads the answer instead of finding its
 * connection broken. One that sends very much more is cut off.
 */
export function ignoreRest(request: IncomingMessage): void {
  let left = MAX_UNREAD_BYTES;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.resume();
}
