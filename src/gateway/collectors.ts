import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { END_REASONS, ERROR_CODES } from '../errors.ts';

const DELAY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const WAIT_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 10];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128];
const CONNECTION_TRANSPORTS = ['graphql-ws', 'sse', 'socket.io'];
const ERROR_TRANSPORTS = ['http', 'graphql-ws', 'socket.io', 'admin'];

/** Reasons why a subscription leaves shared delivery and reads the event log on its own. */
const FALLBACK_REASONS = ['SLOW', 'GAP', 'QUEUE_FULL', 'EXECUTION_FAILED', 'WRITE_FAILED'] as const;

export type FallbackReason = (typeof FALLBACK_REASONS)[number];

/** Creates the metrics of a node. Documented in docs/operations.md. */
export function createCollectors(registry: Registry) {
  const registers = [registry];
  const gauge = <Label extends string = never>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name, help, labelNames, registers });
  const counter = <Label extends string = never>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: Label[]
  ) => new Histogram({ name, help, buckets, labelNames, registers });

  const collectors = {
    buildInfo: gauge('parley_build_info', 'Always 1, with the version.', 'version', 'node_version'),
    ready: gauge('parley_ready', '1 while /readyz responds with 200.'),
    degraded: gauge(
      'parley_degraded',
      '1 while notices of other nodes are not received, or the clock of this node is wrong.',
    ),
    clockOffset: gauge(
      'parley_clock_offset_seconds',
      'How far the clock of this node is ahead of the database.',
    ),
    heapLimit: gauge('parley_heap_limit_bytes', 'Size of the heap of V8 at which the process fails.'),

    httpResponses: counter(
      'parley_http_responses_total',
      'HTTP responses, and refused upgrades, by route and class of the status.',
      'route',
      'status',
    ),
    tcpConnections: gauge('parley_tcp_connections', 'Open TCP connections.'),
    maxTcpConnections: gauge('parley_tcp_connections_max', 'Most TCP connections: MAX_CONNECTIONS.'),
    connections: gauge('parley_connections', 'Open connections.', 'transport'),
    connectionEnds: counter(
      'parley_connection_ends_total',
      'Closed connections, by reason.',
      'transport',
      'reason',
    ),
    subscriptions: gauge('parley_subscriptions', 'Open subscriptions.', 'transport'),
    streamEnds: counter(
      'parley_stream_ends_total',
      'GraphQL streams ended by the server, by end reason or error code.',
      'reason',
    ),

    operations: counter('parley_operations_total', 'GraphQL operations started.', 'transport'),
    operationDuration: histogram(
      'parley_operation_duration_seconds',
      'Time to execute a GraphQL operation, or to open a subscription.',
      DELAY_BUCKETS,
      'operation',
      'transport',
      'outcome',
    ),
    errors: counter(
      'parley_errors_total',
      'Errors in responses to GraphQL operations and to legacy events, by code.',
      'transport',
      'code',
    ),
    refusals: counter('parley_refusals_total', 'Requests refused by a limit.', 'limit'),
    securityEvents: counter('parley_security_events_total', 'Security events, as in the log.', 'event'),

    legacyConnections: counter(
      'parley_legacy_connections_total',
      'Connections opened by legacy clients, by Engine.IO protocol and client library.',
      'protocol',
      'library',
    ),
    legacyEvents: counter(
      'parley_legacy_events_total',
      'Events received from legacy clients, by channel, Engine.IO protocol and client library.',
      'channel',
      'protocol',
      'library',
    ),
    legacyEventDuration: histogram(
      'parley_legacy_event_duration_seconds',
      'Time to handle an event of a legacy client, up to its reply, by channel.',
      DELAY_BUCKETS,
      'channel',
      'outcome',
    ),
    legacyFrames: counter(
      'parley_legacy_frames_total',
      'Events sent to legacy clients, by channel, counted once per recipient.',
      'channel',
    ),

    mediaInspections: counter(
      'parley_media_inspections_total',
      'Inspections of uploaded images, audio and video that ended, by outcome.',
      'outcome',
    ),
    sendBatchSize: histogram('parley_send_batch_size', 'Sends that share a transaction.', BATCH_BUCKETS),
    deliveryDelay: histogram(
      'parley_delivery_delay_seconds',
      'Time from the write of an event, before its commit, to its delivery to the readers of this node.',
      DELAY_BUCKETS,
    ),
    logLag: gauge(
      'parley_log_lag_events',
      'Committed events that this node knows of and has not delivered yet, of the topic with the most.',
    ),
    fallbacks: counter(
      'parley_shared_delivery_fallbacks_total',
      'Subscriptions that left shared delivery to read the event log, by reason.',
      'reason',
    ),
    groups: gauge('parley_shared_groups', 'Groups of subscriptions that share executions.'),
    groupMembers: gauge('parley_shared_group_members', 'Subscriptions that are in a group.'),
    largestGroup: gauge('parley_shared_group_largest', 'Members of the largest group.'),
    socketPauses: counter(
      'parley_socket_pauses_total',
      'Times that reading from a socket was paused because its client did not read.',
      'transport',
    ),
    queuedBytes: gauge(
      'parley_queued_bytes',
      'Bytes buffered for sockets and streams, by transport, and for shared executions.',
      'queue',
      'transport',
    ),
    heldBytes: gauge(
      'parley_held_bytes',
      'Bytes of large requests and frames that are not handled, or sent and not read, of anonymous clients and of accounts.',
      'direction',
      'clients',
    ),

    databaseConnectionsUsed: gauge(
      'parley_database_connections_used',
      'Database connections that run a statement or transaction of a request.',
    ),
    databaseConnectionsMax: gauge(
      'parley_database_connections_max',
      'Database connections for requests: DATABASE_POOL_SIZE.',
    ),
    databaseStatementsWaiting: gauge(
      'parley_database_statements_waiting',
      'Statements and transactions that wait for a database connection.',
    ),
    databaseWait: histogram(
      'parley_database_wait_seconds',
      'Wait of statements and transactions for a database connection.',
      WAIT_BUCKETS,
    ),

    busConnected: gauge('parley_bus_connected', '0 while notices of other nodes are not received.'),
    busMessages: counter('parley_bus_messages_total', 'Messages between nodes, by direction.', 'direction'),
    busBytes: counter(
      'parley_bus_bytes_total',
      'Bytes of messages between nodes, by direction.',
      'direction',
    ),
    busQueuedMessages: gauge('parley_bus_queued_messages', 'Messages that wait to be sent to other nodes.'),
    busQueuedBytes: gauge(
      'parley_bus_queued_bytes',
      'Bytes of messages that wait to be sent to other nodes.',
    ),

    retentionSweepAge: gauge(
      'parley_retention_sweep_age_seconds',
      'Time since this node last removed expired data, or started. One node of a cluster does it.',
    ),
    retentionLag: gauge(
      'parley_retention_lag_seconds',
      'Time since the oldest part of the event log should have been removed.',
    ),
  };
  // From 0, so that `increase` includes the first occurrence.
  for (const transport of CONNECTION_TRANSPORTS) {
    collectors.connections.set({ transport }, 0);
    for (const reason of [...END_REASONS, 'CLIENT', 'SILENT', 'PROTOCOL'])
      collectors.connectionEnds.inc({ transport, reason }, 0);
  }
  for (const transport of ['graphql-ws', 'sse']) {
    collectors.subscriptions.set({ transport }, 0);
    collectors.socketPauses.inc({ transport }, 0);
  }
  for (const reason of FALLBACK_REASONS) collectors.fallbacks.inc({ reason }, 0);
  for (const reason of END_REASONS) collectors.streamEnds.inc({ reason }, 0);
  for (const direction of ['sent', 'received']) {
    collectors.busMessages.inc({ direction }, 0);
    collectors.busBytes.inc({ direction }, 0);
  }
  for (const transport of ERROR_TRANSPORTS)
    for (const code of Object.keys(ERROR_CODES)) collectors.errors.inc({ transport, code }, 0);
  return collectors;
}
