import type { Operator } from './operator.ts';

/** An open connection, as `/admin/graphql` shows it. */
export interface ListedConnection {
  readonly id: string;
  readonly transport: string;
  readonly protocol: string;
  readonly client: string | null;
  readonly account: string | null;
  readonly address: string;
  readonly node: string;
  readonly nodeName: string | null;
  readonly since: string;
  readonly waitingBytes: number;
  readonly behind: number;
  readonly subscriptionCount: number;
  readonly subscriptions: readonly {
    readonly id: string;
    readonly topic: string | null;
    readonly operation: string | null;
    readonly behind: number | null;
  }[];
}

const FIELDS = `id transport protocol client account address node nodeName since waitingBytes behind subscriptionCount
  subscriptions { id topic operation behind }`;

export interface ListedPage {
  readonly nodes: readonly ListedConnection[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  readonly unreachableNodes: readonly string[];
}

/** Lists open connections, with arguments in GraphQL syntax. */
export async function listPage(operator: Operator, args = 'first: 100'): Promise<ListedPage> {
  const { connections } = await operator.run<{ connections: ListedPage }>(
    `{ connections(${args}) { nodes { ${FIELDS} } pageInfo { hasNextPage endCursor } unreachableNodes } }`,
  );
  return connections;
}

export const listConnections = async (operator: Operator, args?: string) =>
  (await listPage(operator, args)).nodes;

export async function findConnection(operator: Operator, id: string): Promise<ListedConnection | null> {
  const { connection } = await operator.run<{ connection: ListedConnection | null }>(
    `query ($id: ID!) { connection(id: $id) { ${FIELDS} } }`,
    { id },
  );
  return connection;
}

export async function endConnection(operator: Operator, id: string): Promise<ListedConnection> {
  const result = await operator.run<{ endConnection: ListedConnection }>(
    `mutation ($id: ID!) { endConnection(id: $id) { ${FIELDS} } }`,
    { id },
  );
  return result.endConnection;
}

export const END_SUBSCRIPTION =
  'mutation ($connectionId: ID!, $id: ID!) { endSubscription(connectionId: $connectionId, id: $id) }';
