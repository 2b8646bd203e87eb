import type { IncomingMessage, ServerResponse } from 'node:http';
import { challengeOf } from './identity.ts';

const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** Answers with a JSON body. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  if (status === 401) response.setHeader('www-authenticate', challengeOf(response.req));
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
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
