// Sends the traces of a node to an OpenTelemetry collector, by OTLP over HTTP. Copy it, change it, and load it before Parley:
//
//   npm install @opentelemetry/api@1 @opentelemetry/sdk-trace@3 @opentelemetry/context-async-hooks@3 \
//     @opentelemetry/resources@3 @opentelemetry/exporter-trace-otlp-http@0.301
//   NODE_OPTIONS='--import ./deploy/opentelemetry/otel.mjs' OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 npm start
//
// OTEL_SERVICE_NAME (default: parley), OTEL_BSP_SCHEDULE_DELAY (ms, default: 5000) and OTEL_TRACES_SAMPLER_ARG (the part of traces that is kept, default: 0.05) apply.
import { hostname } from 'node:os';
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

const ratio = new TraceIdRatioBasedSampler(Number(process.env.OTEL_TRACES_SAMPLER_ARG ?? 0.05));
const provider = new TracerProvider({
  resource: resourceFromAttributes({
    'service.name': process.env.OTEL_SERVICE_NAME ?? 'parley',
    'service.instance.id': process.env.NODE_NAME ?? hostname(),
  }),
  // Clients cannot decide that their traces are kept: every node decides by the trace id alone, and so all decide alike.
  sampler: new ParentBasedSampler({ root: ratio, remoteParentSampled: ratio, remoteParentNotSampled: ratio }),
  spanProcessors: [
    new BatchSpanProcessor({
      exporter: new OTLPTraceExporter(),
      scheduledDelayMillis: Number(process.env.OTEL_BSP_SCHEDULE_DELAY ?? 5_000),
    }),
  ],
});
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(provider);
// A drain continues without the collector: a rejection that nothing handles would end the process.
process.on('SIGTERM', () => {
  provider.forceFlush().catch((error) => process.emitWarning(`traces are not sent: ${error}`));
});
