import { shortNodeId } from '../ids.ts';

/**
 * Returns a new id of a connection of a kind: `ws-1f3a9c02-12`, with the node that it is open on. It is no secret: it
 * gives no access to the connection.
 */
export type NextConnectionId = (kind: 'ws' | 'sse' | 'http' | 'sio') => string;

/** Creates the ids of a node's connections, unique in the cluster: log lines name them, and operators find them by it. */
export function createConnectionIds(nodeId: string): NextConnectionId {
  const node = shortNodeId(nodeId);
  const prefixes = { ws: `ws-${node}-`, sse: `sse-${node}-`, http: `http-${node}-`, sio: `sio-${node}-` };
  let count = 0;
  return (kind) => {
    count += 1;
    return prefixes[kind] + String(count);
  };
}
