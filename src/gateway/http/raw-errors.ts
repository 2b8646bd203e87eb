import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { bodyOf } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import type { HttpPolicy } from './policy.ts';

export interface RawError extends HttpErrorResponse {
  /** The body, where a protocol defines one. Default: JSON, as of every other error. */
  readonly text?: string;
}

/** Responds to the request of an upgrade with an error, and closes the connection. */
export type RejectUpgrade = (error: RawError) => void;

/** Sends an error on a connection that has no `ServerResponse`, with the headers of every response, and closes it. */
export function sendRawError(
  socket: Duplex,
  error: RawError,
  securityHeaders: Readonly<Record<string, string>>,
): void {
  if (!socket.writable) return void socket.destroy();
  // Destroyed after the response: the client may never end its half of the connection.
  socket.end(encodeError(error, securityHeaders), () => socket.destroy());
}

function encodeError(error: RawError, securityHeaders: Readonly<Record<string, string>>): string {
  const body = error.text ?? JSON.stringify(bodyOf(error));
  const headers = {
    ...securityHeaders,
    ...error.headers,
    Connection: 'close',
    'Content-Type': `${error.text === undefined ? 'application/json' : 'text/plain'}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
  };
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    body,
  ].join('\r\n');
}

export interface RawErrorsOptions {
  readonly policy: HttpPolicy;
  /** Whether bytes of a response have been sent on the connection, which another response would corrupt. */
  readonly hasResponse: (socket: Duplex) => boolean;
}

/** Responds to what Node rejects before there is a request that a route could handle, as to every other request. */
export function handleRawErrors(server: Server, { policy, hasResponse }: RawErrorsOptions): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (hasResponse(socket)) socket.destroy();
    else
      sendRawError(socket, PARSER_ERRORS[error.code ?? ''] ?? MALFORMED_REQUEST, policy.securityHeadersOf());
  });
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    sendRawError(socket, CONNECT_NOT_SUPPORTED, policy.securityHeadersOf(request));
  });
}

const MALFORMED_REQUEST: HttpErrorResponse = {
  status: 400,
  code: 'INVALID_INPUT',
  message: 'The request is not HTTP/1.1, or malformed.',
};

const PARSER_ERRORS: Readonly<Record<string, HttpErrorResponse>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'LIMIT_EXCEEDED',
    message: 'The request line and the headers are too large.',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    code: 'LIMIT_EXCEEDED',
    message: 'The chunk extensions of the request body are too large.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'INVALID_INPUT',
    message: 'The request did not arrive in time.',
  },
};

const CONNECT_NOT_SUPPORTED: HttpErrorResponse = {
  status: 405,
  code: 'INVALID_INPUT',
  message: 'The gateway is no proxy.',
  headers: { Allow: 'GET, HEAD, POST, OPTIONS' },
};
