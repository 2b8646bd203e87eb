import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { AddressOf } from '../client-address.ts';
import type { NextConnectionId } from '../connection-ids.ts';
import type { OperationOrigin } from '../execution/operation.ts';

export type OriginOf = (request: IncomingMessage) => OperationOrigin;

/**
 * Returns a function that finds the origin of an operation over HTTP with a single response. Requests that share a TCP
 * connection share its id; behind a proxy, that is the proxy's connection.
 */
export function createOperationOrigins(addressOf: AddressOf, nextConnectionId: NextConnectionId): OriginOf {
  const ids = new WeakMap<Socket, string>();
  return (request) => {
    const { socket } = request;
    let id = ids.get(socket);
    if (id === undefined) {
      id = nextConnectionId('http');
      ids.set(socket, id);
    }
    return { transport: 'http', id, address: addressOf(request), endReason: undefined };
  };
}

/** Returns the id that a proxy, or the client, has given the request. */
export function requestIdOf({ headers }: IncomingMessage): string | undefined {
  const id = headers['x-request-id'];
  return typeof id === 'string' ? id : undefined;
}
