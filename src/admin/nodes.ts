import { listNodes } from '../domain/live-connections.ts';
import type {
  ConnectionCount as ConnectionCountSource,
  EndCount as EndCountSource,
  NodeStatus,
} from '../domain/live-connections.ts';
import { builder } from './builder.ts';
import { Transport } from './live-connections.ts';

const ConnectionCount = builder.objectRef<ConnectionCountSource>('ConnectionCount').implement({
  description: 'The number of open connections of one kind on a node.',
  fields: (t) => ({
    transport: t.expose('transport', { type: Transport, description: 'Their transport.' }),
    protocol: t.exposeString('protocol', { description: 'Their protocol, as that of `LiveConnection`.' }),
    client: t.exposeString('client', {
      nullable: true,
      description: 'The library of Socket.IO clients, for example `js 1.4-2.x`; null for others.',
    }),
    count: t.exposeInt('count', { description: 'Number of the connections.' }),
  }),
});

const EndCount = builder.objectRef<EndCountSource>('EndCount').implement({
  description: 'The number of connections of one transport that ended for one reason.',
  fields: (t) => ({
    transport: t.expose('transport', { type: Transport, description: 'Their transport.' }),
    reason: t.exposeString('reason', {
      description: 'Why they ended, as in the metric `parley_connection_ends_total`.',
    }),
    count: t.exposeInt('count', { description: 'Number of the connections.' }),
  }),
});

const BusState = builder.enumType('BusState', {
  description: 'Whether a node receives the events of other nodes over the bus.',
  values: {
    CONNECTED: { description: 'It does.' },
    DISCONNECTED: { description: 'It does not, and finds them in the database, with a delay.' },
    NONE: { description: 'It is a single process.' },
  } as const,
});

/** A node that has replied, or what is known of one that has not. */
interface NodeSource {
  readonly id: string;
  readonly name: string | null;
  readonly version: string | null;
  readonly status: NodeStatus | undefined;
}

const GatewayNode = builder.objectRef<NodeSource>('GatewayNode').implement({
  description: 'A node of the cluster. Most fields of one that does not reply are null.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Identifies it. Log lines and connections have it.' }),
    name: t.exposeString('name', { nullable: true, description: 'Its `NODE_NAME`; null without one.' }),
    version: t.exposeString('version', {
      nullable: true,
      description: 'Its version. Null for a node of an older version, which cannot reply.',
    }),
    isReachable: t.boolean({
      description: 'Whether it has replied within 2 s.',
      resolve: ({ status }) => status !== undefined,
    }),
    address: t.string({
      nullable: true,
      description: 'The URL that it listens on; null while it starts, and on the server of another program.',
      resolve: ({ status }) => status?.url,
    }),
    startedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Start time of its process, by its clock.',
      resolve: ({ status }) => status && new Date(status.startedAt).toISOString(),
    }),
    connections: t.field({
      type: [ConnectionCount],
      description:
        'Its open connections, counted by transport, protocol and library; empty if it does not reply.',
      resolve: ({ status }) => status?.connections ?? [],
    }),
    ends: t.field({
      type: [EndCount],
      description:
        'Its connections that ended since it started, by transport and reason; empty if it does not reply.',
      resolve: ({ status }) => status?.ends ?? [],
    }),
    eventLoopDelayMs: t.float({
      nullable: true,
      description: 'The 99th percentile of the delays of its event loop in the last 15 to 30 s.',
      resolve: ({ status }) => status?.eventLoopDelayMs,
    }),
    bus: t.field({
      type: BusState,
      nullable: true,
      description: 'State of its bus.',
      resolve: ({ status }) => status && busStateOf(status),
    }),
    degradation: t.string({
      nullable: true,
      description: 'Why it works less well than it should; null if it does not.',
      resolve: ({ status }) => status?.degradation,
    }),
    logLag: t.int({
      nullable: true,
      description: 'Committed events that it knows of and has not delivered yet, of the topic with the most.',
      resolve: ({ status }) => status?.logLag,
    }),
  }),
});

function busStateOf({ isBusConnected }: NodeStatus): 'CONNECTED' | 'DISCONNECTED' | 'NONE' {
  if (isBusConnected === undefined) return 'NONE';
  return isBusConnected ? 'CONNECTED' : 'DISCONNECTED';
}

builder.queryField('nodes', (t) =>
  t.field({
    type: [GatewayNode],
    description:
      'The nodes of the cluster, by name and id. One that has crashed is among them until another removes it, about 20 s later.',
    resolve: async (_root, _args, { deps }) => {
      const { reachable, unreachable } = await listNodes(deps);
      const nodes: NodeSource[] = [
        ...reachable.map((status) => ({
          id: status.nodeId,
          name: status.name ?? null,
          version: status.version,
          status,
        })),
        ...unreachable.map((node) => ({ ...node, status: undefined })),
      ];
      return nodes.sort((a, b) => compare(a.name ?? '', b.name ?? '') || compare(a.id, b.id));
    },
  }),
);

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
