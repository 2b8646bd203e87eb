import type { Config } from '../config.ts';
import type { Db } from '../db/database.ts';
import type { Cluster } from '../events/cluster/cluster.ts';
import type { Tails } from '../events/tail.ts';
import type { EndCount } from '../live-connections.ts';
import type { Logger } from '../log.ts';
import { NodeConnections } from '../services/operators/node-connections.ts';
import { watchEventLoopDelay } from '../services/operators/node-status.ts';
import { Operators } from '../services/operators/operators.ts';
import { VERSION } from '../version.ts';

export interface OperatorServices {
  readonly config: Config;
  readonly control: Db;
  readonly log: Logger;
  readonly nodeId: string;
  /** Undefined for a single process. */
  readonly cluster: Cluster | undefined;
  readonly tails: Tails;
  /** Returns how many connections of this node ended, by transport and reason. */
  readonly countEnds: () => Promise<readonly EndCount[]>;
  degradation(): string | undefined;
  readonly stack: AsyncDisposableStack;
}

/** The part of this node's state that its servers add. */
export interface OwnNode {
  /** Transports add their connections. */
  readonly connections: NodeConnections;
  /** Undefined until it listens, and on the server of a host. */
  url: string | undefined;
}

/** Opens the operators' view of the cluster. From now on this node answers the requests of other nodes. */
export function openOperators({
  config: { NODE_NAME: name },
  control,
  log,
  nodeId,
  cluster,
  tails,
  countEnds,
  degradation,
  stack,
}: OperatorServices): { readonly operators: Operators; readonly ownNode: OwnNode } {
  const connections = new NodeConnections({ nodeId, nodeName: name });
  const ownNode: OwnNode = { connections, url: undefined };
  const eventLoopDelay = stack.use(watchEventLoopDelay());
  const startedAt = performance.timeOrigin;
  const operators = Operators.start({
    control,
    log,
    node: { id: nodeId, name: name ?? null, version: VERSION },
    requests: cluster?.requests,
    connections,
    countEnds,
    status: () => ({
      nodeId,
      name,
      version: VERSION,
      startedAt,
      url: ownNode.url,
      eventLoopDelayMs: eventLoopDelay.ms,
      isBusConnected: cluster?.isConnected,
      degradation: degradation(),
      logLag: tails.lag(),
    }),
  });
  return { operators: stack.use(operators), ownNode };
}
