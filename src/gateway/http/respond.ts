import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphQLError } from 'graphql';
import type { ErrorCode } from '../../errors.ts';
import { challengeOf } from '../identity.ts';
import { setHeaders } from './response-headers.ts';

const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
const MAX_DRAIN_MS = 30_000;

/** An error that is sent as a whole HTTP response. */
export interface HttpErrorResponse {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** With RATE_LIMITED. */
  readonly retryAfterMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The response to a client that opens an event stream while the node drains. */
export const DRAINING: HttpErrorResponse = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'The node is shutting down. Connect again.',
};

/** Includes `errors`, as GraphQL clients parse the body as a result. */
export const bodyOf = ({ code, message, retryAfterMs }: HttpErrorResponse): object => ({
  message,
  code,
  errors: [{ message, extensions: { code, retryAfterMs } }],
});

export function sendHttpError(response: ServerResponse, error: HttpErrorResponse): void {
  setRetryAfter(response, [{ extensions: { retryAfterMs: error.retryAfterMs } }]);
  setHeaders(response, error.headers ?? {});
  sendJson(response, error.status, bodyOf(error));
}

/** Sends a JSON response that must not be cached; status 401 with a challenge. */
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

/** Tells the client when to repeat a request that a limit refused. */
export function setRetryAfter(
  response: ServerResponse,
  errors: readonly Pick<GraphQLError, 'extensions'>[] | undefined,
): void {
  const seconds = errors?.map(retryAfterSeconds).find((value) => value !== undefined);
  if (seconds !== undefined) response.setHeader('retry-after', seconds);
}

/** Returns the value of `Retry-After` for a RATE_LIMITED error, in whole seconds. */
export const retryAfterSeconds = ({
  extensions: { retryAfterMs },
}: Pick<GraphQLError, 'extensions'>): number | undefined =>
  typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1_000) : undefined;

/**
 * Drains the rest of a request body, so that a client that is still sending receives the response instead of a connection
 * reset. Destroys the request after `MAX_UNREAD_BYTES`, after `MAX_DRAIN_MS`, and when its connection closes: Node does not,
 * once the response has been sent.
 */
export function drainRequest(request: IncomingMessage): void {
  if (request.closed) return;
  let remaining = MAX_UNREAD_BYTES;
  request.on('data', (chunk: Buffer) => {
    remaining -= chunk.length;
    if (remaining < 0) request.destroy();
  });
  request.resume();
  const { socket } = request;
  const destroy = (): void => void request.destroy();
  const timer = setTimeout(destroy, MAX_DRAIN_MS).unref();
  socket.once('close', destroy);
  request.once('close', () => {
    clearTimeout(timer);
    socket.off('close', destroy);
  });
}
