import { shortNodeId } from '../ids.ts';

/** Returns a new id of a connection of a kind: `ws-1f3a9c02-12`, with the node that it is open on. */
export type NextConnectionId = (kind: 'ws' | 'sse' | 'http') => string;

/** Creates the ids of a node's connections, unique in the cluster: log lines name them, and operators find them by it. */
export function createConnectionIds(nodeId: string): NextConnectionId {
  const node = shortNodeId(nodeId);
  const prefixes = { ws: `ws-${node}-`, sse: `sse-${node}-`, http: `http-${node}-` };
  let count = 0;
  return (kind) => {
    count += 1;
    return prefixes[kind] + String(count);
  };
}
