import type { IncomingMessage, ServerResponse } from 'node:http';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What an operator can read at `/metrics`. */
export interface Metrics {
  readonly connections: Gauge<'transport'>;
  readonly operations: Counter<'transport'>;
  readonly streamEnds: Counter<'reason'>;
  readonly connectionEnds: Counter<'transport' | 'reason'>;
  readonly legacyConnections: Counter<'protocol' | 'library'>;
  readonly legacyEvents: Counter<'channel' | 'protocol' | 'library'>;
  readonly legacyFrames: Counter<'channel'>;
  /** From the commit of an event to its arrival at the readers of this node, in seconds. */
  readonly deliveryDelay: Histogram;
  /** `GET /metrics`, in the text format of Prometheus. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    async handle(_request, response) {
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
      help: 'GraphQL operations begun.',
      labelNames: ['transport'],
      registers,
    }),
    streamEnds: new Counter({
      name: 'parley_stream_ends_total',
      help: 'GraphQL streams that the server ended, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    connectionEnds: new Counter({
      name: 'parley_connection_ends_total',
      help: 'Connections that are over, by reason.',
      labelNames: ['transport', 'reason'],
      registers,
    }),
    legacyConnections: new Counter({
      name: 'parley_legacy_connections_total',
      help: 'Connections that legacy clients have opened, by protocol of Engine.IO and client library.',
      labelNames: ['protocol', 'library'],
      registers,
    }),
    legacyEvents: new Counter({
      name: 'parley_legacy_events_total',
      help: 'Events received from legacy clients, by channel, protocol of Engine.IO and client library.',
      labelNames: ['channel', 'protocol', 'library'],
      registers,
    }),
    legacyFrames: new Counter({
      name: 'parley_legacy_frames_total',
      help: 'Events sent to legacy clients, by channel, once for each that is sent it.',
      labelNames: ['channel'],
      registers,
    }),
    deliveryDelay: new Histogram({
      name: 'parley_delivery_delay_seconds',
      help: 'From the writing of an event, before its commit, to its arrival at the readers of this node.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    }),
  };
}
