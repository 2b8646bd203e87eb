import {
  endAccountConnections,
  endConnection,
  endSubscription,
  listConnections,
  requireConnection,
} from '../domain/live-connections.ts';
import type { ConnectionView } from '../domain/live-connections.ts';
import { invalidInput, DomainError } from '../errors.ts';
import { encodeGlobalId, parseId } from '../ids.ts';
import type { LiveSubscription as LiveSubscriptionView } from '../live-connections.ts';
import { parsePageSize } from '../schema/pagination.ts';
import { actorKey } from '../actor.ts';
import type { ActorKey } from '../actor.ts';
import { requireAccountId } from './account.ts';
import { builder } from './builder.ts';
import { encodeConnectionCursor, parseConnectionCursor } from './connection-cursor.ts';
import { forwardArguments } from './pagination.ts';

export const Transport = builder.enumType('Transport', {
  description: 'The transport of a connection.',
  values: {
    GRAPHQL_WS: { value: 'graphql-ws', description: 'GraphQL over WebSocket.' },
    SSE: { value: 'sse', description: 'GraphQL over Server-Sent Events: each stream is a connection.' },
    SOCKET_IO: { value: 'socket.io', description: 'Socket.IO, over WebSocket or polling.' },
  } as const,
});

const ConnectionOrder = builder.enumType('ConnectionOrder', {
  description: 'An order of connections. Those with the same value are ordered by their ids.',
  values: {
    SINCE: { description: 'The oldest first.' },
    BEHIND: { description: 'The ones first that are the most events behind.' },
    WAITING_BYTES: { description: 'The ones first for which the most bytes wait.' },
  } as const,
});

const LiveSubscription = builder.objectRef<LiveSubscriptionView>('LiveSubscription').implement({
  description: 'An open GraphQL subscription, or a room that a Socket.IO client has joined.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description:
        'Identifies it in its connection: the id that the client gave it, `1` over SSE, the topic of a room.',
    }),
    topic: t.exposeString('topic', {
      nullable: true,
      description:
        'The topic, as in log lines: `conversation:3`, `circle:3`, `user:3` or `device:3`. Null while it opens.',
    }),
    operation: t.exposeString('operation', {
      nullable: true,
      description: 'Type and name of its operation, for example `subscription Chat`; null for a room.',
    }),
    behind: t.exposeInt('behind', {
      nullable: true,
      description:
        'Committed events of the topic that it has not been handed. Null for a room, whose frames wait in the queue of the connection, and for what is not stored: typing, presence, signals.',
    }),
  }),
});

const LiveConnection = builder.objectRef<ConnectionView>('LiveConnection').implement({
  description: 'An open connection of a client, as it was when its node was asked.',
  fields: (t) => ({
    id: t.id({
      description: 'Identifies it in the cluster. Log lines have it as `connection`.',
      resolve: ({ place }) => place.id,
    }),
    transport: t.expose('transport', { type: Transport, description: 'Its transport.' }),
    protocol: t.exposeString('protocol', {
      description: '`graphql-transport-ws`, `text/event-stream`, or for example `Engine.IO 3, polling`.',
    }),
    client: t.exposeString('client', {
      nullable: true,
      description:
        'The library of a Socket.IO client, for example `js 1.4-2.x`; the user agent of others, at most 200 characters. Null if it sent none.',
    }),
    account: t.id({
      nullable: true,
      description: 'Global id of its account: `User:3` or `Device:3`. Null without a login.',
      resolve: ({ account }) => (account === undefined ? null : globalIdOf(account)),
    }),
    address: t.exposeString('address', { description: 'Network address of the client.' }),
    node: t.exposeString('nodeId', { description: 'The id of its node.' }),
    nodeName: t.exposeString('nodeName', {
      nullable: true,
      description: 'The `NODE_NAME` of its node; null without one.',
    }),
    since: t.field({
      type: 'DateTime',
      description: 'Time at which it was opened, by the clock of its node.',
      resolve: ({ openedAt }) => new Date(openedAt).toISOString(),
    }),
    waitingBytes: t.exposeInt('waitingBytes', {
      description: 'Bytes that wait for the client, in its socket and in the buffers of its subscriptions.',
    }),
    behind: t.exposeInt('behind', {
      description:
        'Events that the subscription that is furthest behind has not been handed; for Socket.IO, frames that the client has not been sent.',
    }),
    subscriptions: t.expose('subscriptions', {
      type: [LiveSubscription],
      description:
        'Its subscriptions or rooms, the ones that are furthest behind first. In a list, at most 20, those of the argument `topic` first.',
    }),
    subscriptionCount: t.exposeInt('subscriptionCount', {
      description: 'Number of its subscriptions or rooms.',
    }),
  }),
});

function globalIdOf(account: ActorKey): string {
  const [kind = '', id = ''] = account.split(':');
  return encodeGlobalId(kind === 'user' ? 'User' : 'Device', id);
}

const UNREACHABLE_DESCRIPTION =
  'Ids of the nodes that have not replied within 2 s, or that cannot be reached because the bus is disconnected.';

const LiveConnectionPage = builder.connectionObject(
  {
    type: LiveConnection,
    name: 'LiveConnectionPage',
    description: 'A page of the open connections.',
    fields: (t) => ({
      unreachableNodes: t.stringList({
        description: `${UNREACHABLE_DESCRIPTION} Their connections are missing.`,
        resolve: (page) => (page as unknown as { readonly unreachableNodes: string[] }).unreachableNodes,
      }),
    }),
  },
  { description: 'An edge in a connection: an open connection of a client.' },
);

const TOPIC = /^(circle|conversation|user|device):(\d+)$/;

/** Parses a topic as log lines show it, or as a global id. Throws INVALID_INPUT. */
function parseTopic(text: string): string {
  const topic = text.toLowerCase();
  const id = TOPIC.exec(topic)?.[2];
  if (parseId(id) === undefined)
    throw invalidInput('topic', 'topic is not of the form conversation:3, circle:3, user:3 or device:3.');
  return topic;
}

builder.queryFields((t) => ({
  connections: t.field({
    type: LiveConnectionPage,
    description:
      'The open connections of all nodes. They change while they are read: pages in the order SINCE omit and repeat none that stays open, those in other orders may. Errors: INVALID_INPUT, LIMIT_EXCEEDED.',
    args: {
      ...forwardArguments,
      accountId: t.arg.id({ description: 'Only connections of this account: `User:3` or `Device:3`.' }),
      transport: t.arg({ type: Transport, description: 'Only connections of this transport.' }),
      topic: t.arg.string({
        description:
          'Only connections with a subscription or room of this topic, for example `conversation:3`.',
      }),
      orderBy: t.arg({
        type: ConnectionOrder,
        required: true,
        defaultValue: 'SINCE',
        description: 'The order of the connections.',
      }),
    },
    resolve: async (_root, { first, after, accountId, transport, topic, orderBy }, { deps }) => {
      const page = await listConnections(deps, {
        account: accountId == null ? undefined : actorKey(requireAccountId('accountId', accountId)),
        transport: transport ?? undefined,
        topic: topic == null ? undefined : parseTopic(topic),
        orderBy,
        first: parsePageSize({ first }),
        after: parseConnectionCursor(orderBy, after),
      });
      const edges = page.connections.map((node) => ({
        cursor: encodeConnectionCursor(orderBy, node.place),
        node,
      }));
      return {
        edges,
        pageInfo: {
          hasNextPage: page.hasMore,
          hasPreviousPage: typeof after === 'string' && after !== '',
          startCursor: edges.at(0)?.cursor ?? null,
          endCursor: edges.at(-1)?.cursor ?? null,
        },
        unreachableNodes: page.unreachable.map(({ id }) => id),
      };
    },
  }),
  connection: t.field({
    type: LiveConnection,
    nullable: true,
    description:
      'An open connection, with its subscriptions, as many as fit into 256 KB (`subscriptionCount` counts all). Null if there is none. Errors: UNAVAILABLE if it may be on a node that does not reply.',
    args: { id: t.arg.id({ required: true, description: 'Id of the connection, as log lines have it.' }) },
    resolve: (_root, { id }, { deps }) => requireConnection(deps, id).catch(nullIfNotFound),
  }),
}));

function nullIfNotFound(error: unknown): null {
  if (error instanceof DomainError && error.code === 'NOT_FOUND') return null;
  throw error;
}

const EndedConnections = builder
  .objectRef<{ readonly count: number; readonly unreachableNodes: string[] }>('EndedConnections')
  .implement({
    description: 'The connections of an account that were ended.',
    fields: (t) => ({
      count: t.exposeInt('count', { description: 'Number of the connections.' }),
      unreachableNodes: t.exposeStringList('unreachableNodes', {
        description: `${UNREACHABLE_DESCRIPTION} They may have more connections of the account.`,
      }),
    }),
  });

const connectionId = 'Id of the connection, as log lines have it.';
const reason = { description: 'The reason, for the audit log.' } as const;
const ERRORS =
  'Errors: NOT_FOUND, UNAVAILABLE if it may be on a node that does not reply; it may then still be ended.';

builder.mutationFields((t) => ({
  endConnection: t.field({
    type: LiveConnection,
    description: `Closes a connection with the reason OPERATOR, once its queries and mutations have their results, for at most 2 s. Nothing is sent on its streams: the client connects again, and resumes them. Returns the connection as it was. ${ERRORS}`,
    args: { id: t.arg.id({ required: true, description: connectionId }), reason: t.arg.string(reason) },
    resolve: (_root, { id }, { deps }) => endConnection(deps, id),
  }),
  endAccountConnections: t.field({
    type: EndedConnections,
    description:
      'Closes all connections of an account, as `endConnection` does. It may connect again. Errors: INVALID_INPUT.',
    args: {
      accountId: t.arg.id({
        required: true,
        description: 'Global id of the account: `User:3` or `Device:3`.',
      }),
      reason: t.arg.string(reason),
    },
    resolve: async (_root, { accountId }, { deps }) => {
      const { count, unreachable } = await endAccountConnections(
        deps,
        requireAccountId('accountId', accountId),
      );
      return { count, unreachableNodes: unreachable.map(({ id }) => id) };
    },
  }),
  endSubscription: t.id({
    description: `Ends a GraphQL subscription: its client receives an error with the reason OPERATOR. Returns the id of the subscription. ${ERRORS} INVALID_INPUT for a room of Socket.IO, whose client would not learn of it: end its connection.`,
    args: {
      connectionId: t.arg.id({ required: true, description: connectionId }),
      id: t.arg.id({ required: true, description: 'Id of the subscription in its connection.' }),
      reason: t.arg.string(reason),
    },
    resolve: async (_root, args, { deps }) => {
      await endSubscription(deps, args.connectionId, args.id);
      return args.id;
    },
  }),
}));
