import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';
import { DomainError, invalidInput, notFound } from '../errors.ts';
import type {
  ConnectionPage,
  ConnectionPlace,
  ConnectionQuery,
  ConnectionView,
} from '../services/operators/connection-page.ts';
import type { NodeStatus } from '../services/operators/node-status.ts';
import type { TopicCount } from '../services/operators/topic-counts.ts';
import type { Operators } from '../services/operators/operators.ts';
import type { Deps } from './deps.ts';

export type { ConnectionOrder } from '../services/operators/connection-page.ts';
export type { ConnectionCount } from '../services/operators/node-connections.ts';
export type { EndCount } from '../live-connections.ts';
export type { TopicCount } from '../services/operators/topic-counts.ts';
export type { ConnectionPage, ConnectionPlace, ConnectionQuery, ConnectionView, NodeStatus };

type OperatorDeps = Pick<Deps, 'operators'>;

/** A node that has not answered in time, or cannot be asked because the bus is disconnected. */
export type UnreachableNode = Awaited<ReturnType<Operators['page']>>['unreachable'][number];

/** The nodes of the cluster. */
export async function listNodes({ operators }: OperatorDeps): Promise<{
  readonly reachable: readonly NodeStatus[];
  readonly unreachable: readonly UnreachableNode[];
}> {
  const { replies, unreachable } = await operators.status();
  return { reachable: replies, unreachable };
}

/** Returns the topics with the most readers on all reachable nodes. */
export const listTopics = ({ operators }: OperatorDeps, first: number): Promise<readonly TopicCount[]> =>
  operators.topics(first);

/** The next open connections of all reachable nodes. */
export const listConnections = (
  { operators }: OperatorDeps,
  query: ConnectionQuery,
): Promise<ConnectionPage & { readonly unreachable: readonly UnreachableNode[] }> => operators.page(query);

/** Returns an open connection with its subscriptions, as many as fit into 256 KB. Throws NOT_FOUND, UNAVAILABLE. */
export async function requireConnection({ operators }: OperatorDeps, id: string): Promise<ConnectionView> {
  const { found, unreachable } = await operators.find(id);
  return found ?? throwMissing(unreachable);
}

/** Closes a connection so that its client connects again. Returns it as it was. Throws NOT_FOUND, UNAVAILABLE. */
export async function endConnection({ operators }: OperatorDeps, id: string): Promise<ConnectionView> {
  const { found, unreachable } = await operators.end(id);
  return found ?? throwMissing(unreachable);
}

/** Closes the connections of an account. Returns their number, and the nodes that may have more. */
export async function endAccountConnections(
  { operators }: OperatorDeps,
  account: ActorRef,
): Promise<{ readonly count: number; readonly unreachable: readonly UnreachableNode[] }> {
  const { replies, unreachable } = await operators.endOf(actorKey(account));
  return { count: replies.reduce((sum, count) => sum + count, 0), unreachable };
}

/** Ends a subscription of a connection. Throws NOT_FOUND, UNAVAILABLE, and INVALID_INPUT for a room. */
export async function endSubscription(
  { operators }: OperatorDeps,
  connectionId: string,
  id: string,
): Promise<void> {
  const { found, unreachable } = await operators.endSubscription(connectionId, id);
  if (found === undefined) return throwMissing(unreachable);
  if (found === 'unknown') throw notFound('The subscription');
  if (found === 'untold')
    throw invalidInput(
      'id',
      'No frame tells a Socket.IO client that a room ended: it would miss events unnoticed. End its connection: it connects again, and joins its rooms.',
    );
}

/** Throws that there is no such connection, if all nodes have answered. */
function throwMissing(unreachable: readonly UnreachableNode[]): never {
  if (unreachable.length === 0) throw notFound('The connection');
  const names = unreachable.map(({ id, name }) => (name === null ? id : `${name} (${id})`));
  throw new DomainError(
    'UNAVAILABLE',
    `No node that has answered has the connection. These nodes have not answered: ${names.join(', ')}.`,
  );
}
