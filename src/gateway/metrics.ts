import type { IncomingMessage, ServerResponse } from 'node:http';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Reasons why a subscription leaves shared delivery and reads the event log on its own. */
export type FallbackReason = 'SLOW' | 'GAP' | 'QUEUE_FULL' | 'EXECUTION_FAILED' | 'WRITE_FAILED';

/** The metrics of a node. Every label has a bounded set of values. */
export interface Metrics {
  readonly connections: Gauge<'transport'>;
  readonly operations: Counter<'transport'>;
  /** By the limit that refused. */
  readonly refusals: Counter<'limit'>;
  readonly streamEnds: Counter<'reason'>;
  readonly connectionEnds: Counter<'transport' | 'reason'>;
  readonly legacyConnections: Counter<'protocol' | 'library'>;
  readonly legacyEvents: Counter<'channel' | 'protocol' | 'library'>;
  readonly legacyFrames: Counter<'channel'>;
  readonly deliveryDelay: Histogram;
  readonly fallbacks: Counter<'reason'>;
  readonly groups: Gauge;
  readonly groupMembers: Gauge;
  readonly largestGroup: Gauge;
  readonly socketPauses: Counter<'transport'>;
  readonly queuedBytes: Gauge<'queue' | 'transport'>;
  readonly heldBytes: Gauge<'direction' | 'clients'>;
  readonly logLag: Gauge;
  readonly degraded: Gauge;
  readonly clockOffset: Gauge;
  /** Registers an update of gauges that runs on each scrape, so that keeping them costs nothing in between. */
  beforeScrape(update: () => void): void;
  /** Handles `GET /metrics`, in the text format of Prometheus. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const updates: (() => void)[] = [];
  collectDefaultMetrics({ register: registry });
  return {
    beforeScrape: (update) => void updates.push(update),
    async handle(_request, response) {
      for (const update of updates) update();
      const text = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(text);
    },
    connections: new Gauge({
      name: 'parley_connections',
      help: 'Open connections.',
      labelNames: ['transport'],
      registers,
    }),
    operations: new Counter({
      name: 'parley_operations_total',
      help: 'GraphQL operations started.',
      labelNames: ['transport'],
      registers,
    }),
    refusals: new Counter({
      name: 'parley_refusals_total',
      help: 'Requests refused by a limit.',
      labelNames: ['limit'],
      registers,
    }),
    streamEnds: new Counter({
      name: 'parley_stream_ends_total',
      help: 'GraphQL streams ended by the server, by end reason or error code.',
      labelNames: ['reason'],
      registers,
    }),
    connectionEnds: new Counter({
      name: 'parley_connection_ends_total',
      help: 'Closed connections, by reason.',
      labelNames: ['transport', 'reason'],
      registers,
    }),
    legacyConnections: new Counter({
      name: 'parley_legacy_connections_total',
      help: 'Connections opened by legacy clients, by Engine.IO protocol and client library.',
      labelNames: ['protocol', 'library'],
      registers,
    }),
    legacyEvents: new Counter({
      name: 'parley_legacy_events_total',
      help: 'Events received from legacy clients, by channel, Engine.IO protocol and client library.',
      labelNames: ['channel', 'protocol', 'library'],
      registers,
    }),
    legacyFrames: new Counter({
      name: 'parley_legacy_frames_total',
      help: 'Events sent to legacy clients, by channel, counted once per recipient.',
      labelNames: ['channel'],
      registers,
    }),
    deliveryDelay: new Histogram({
      name: 'parley_delivery_delay_seconds',
      help: 'Time from the write of an event, before its commit, to its delivery to the readers of this node.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    }),
    fallbacks: new Counter({
      name: 'parley_shared_delivery_fallbacks_total',
      help: 'Subscriptions that left shared delivery to read the event log, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    groups: new Gauge({
      name: 'parley_shared_groups',
      help: 'Groups of subscriptions that share executions.',
      registers,
    }),
    groupMembers: new Gauge({
      name: 'parley_shared_group_members',
      help: 'Subscriptions that are in a group.',
      registers,
    }),
    largestGroup: new Gauge({
      name: 'parley_shared_group_largest',
      help: 'Members of the largest group.',
      registers,
    }),
    socketPauses: new Counter({
      name: 'parley_socket_pauses_total',
      help: 'Times that reading from a socket was paused because its client did not read.',
      labelNames: ['transport'],
      registers,
    }),
    queuedBytes: new Gauge({
      name: 'parley_queued_bytes',
      help: 'Bytes buffered for sockets and streams, by transport, and for shared executions.',
      labelNames: ['queue', 'transport'],
      registers,
    }),
    heldBytes: new Gauge({
      name: 'parley_held_bytes',
      help: 'Bytes of large requests and frames that are not handled, or sent and not read, of anonymous clients and of accounts.',
      labelNames: ['direction', 'clients'],
      registers,
    }),
    logLag: new Gauge({
      name: 'parley_log_lag_events',
      help: 'Committed events that this node knows of and has not delivered yet, of the topic with the most.',
      registers,
    }),
    clockOffset: new Gauge({
      name: 'parley_clock_offset_seconds',
      help: 'How far the clock of this node is ahead of the database.',
      registers,
    }),
    degraded: new Gauge({
      name: 'parley_degraded',
      help: '1 while notices of other nodes are not received, or the clock of this node is wrong.',
      registers,
    }),
  };
}
