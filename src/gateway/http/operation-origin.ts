import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { OperationOrigin } from '../execution/operation.ts';

export type OriginOf = (request: IncomingMessage) => OperationOrigin;

/**
 * Returns a function that finds the origin of an operation over HTTP with a single response. Requests that share a TCP
 * connection share its id; behind a proxy, that is the proxy's connection.
 */
export function createOperationOrigins(): OriginOf {
  const bySocket = new WeakMap<Socket, OperationOrigin>();
  let connectionCount = 0;
  return ({ socket }) => {
    const known = bySocket.get(socket);
    if (known !== undefined) return known;
    connectionCount += 1;
    const origin = { transport: 'http', id: `http-${connectionCount}`, endReason: undefined } as const;
    bySocket.set(socket, origin);
    return origin;
  };
}
