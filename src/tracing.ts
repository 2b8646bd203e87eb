import {
  context,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import { VERSION } from './version.ts';

/** A span as text, in the form of the W3C header `traceparent`. */
export type TraceParent = string;

export interface SpanOptions {
  readonly kind: 'internal' | 'server' | 'client' | 'consumer';
  /** Never a message text, a token, an e-mail address or the parameter of a statement. */
  readonly attributes: Attributes;
  /** The parent. Default: the span that the caller runs in. */
  readonly parent?: TraceParent | undefined;
  /** The parent if the caller runs in no span: what a client has sent, valid or not. */
  readonly remoteParent?: unknown;
  /** Other spans that caused it. */
  readonly links?: readonly TraceParent[];
}

/** A span while its work runs. */
export interface ActiveSpan {
  /** Records the code of an error. With `isFault`, the work has failed for a reason that operators must see to. */
  fail(code: string, isFault: boolean): void;
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
} as const;

const SAMPLED = 1;
const TRACE_PARENT = /^[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-|$)/;

/** Records spans through the OpenTelemetry SDK of the process. */
export class Tracing {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Whether the caller runs in a span that is recorded and has not ended. */
  get isActive(): boolean {
    return trace.getActiveSpan()?.isRecording() === true;
  }

  /** Returns the span that the caller runs in; undefined if there is none, or if it is not sampled. */
  current(): TraceParent | undefined {
    const span = trace.getActiveSpan();
    if (span?.isRecording() !== true) return undefined;
    const { traceId, spanId, traceFlags } = span.spanContext();
    return (traceFlags & SAMPLED) === 0 ? undefined : `00-${traceId}-${spanId}-01`;
  }

  /** Runs the work in a span that ends with it. */
  async run<Result>(
    name: string,
    options: SpanOptions,
    work: (span: ActiveSpan) => Promise<Result>,
  ): Promise<Result> {
    const { span, active } = this.#start(name, options);
    try {
      return await context.with(active, () => work(toActive(span)));
    } catch (error) {
      toActive(span).fail(codeOf(error), true);
      throw error;
    } finally {
      span.end();
    }
  }

  /** Runs synchronous work in a span that ends with it. */
  runSync<Result>(name: string, options: SpanOptions, work: () => Result): Result {
    const { span, active } = this.#start(name, options);
    try {
      return context.with(active, work);
    } finally {
      span.end();
    }
  }

  #start(name: string, options: SpanOptions): { readonly span: Span; readonly active: Context } {
    const { kind, attributes, parent, remoteParent, links = [] } = options;
    const linked = links.flatMap((link) => trace.getSpanContext(parseTraceParent(link)) ?? []);
    // A span that has ended is active in what was created in it and outlives it, as a timer.
    const parentContext =
      parent === undefined && this.isActive ? context.active() : parseTraceParent(parent ?? remoteParent);
    const span = this.#tracer.startSpan(
      name,
      { kind: KINDS[kind], attributes, links: linked.map((spanContext) => ({ context: spanContext })) },
      parentContext,
    );
    return { span, active: trace.setSpan(parentContext, span) };
  }
}

/** Returns undefined unless an OpenTelemetry SDK is registered: then nothing is traced, and nothing is spent on it. */
export function createTracing(): Tracing | undefined {
  const provider = trace.getTracerProvider();
  const isRegistered =
    !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('parley') !== undefined;
  return isRegistered ? new Tracing(trace.getTracer('parley', VERSION)) : undefined;
}

/** Returns the ids of the span that the caller runs in, as fields of a log line. */
export function traceFields(): object {
  const spanContext = trace.getActiveSpan()?.spanContext();
  return spanContext === undefined ? {} : { trace_id: spanContext.traceId, span_id: spanContext.spanId };
}

/** Returns a context whose span is the parent; without one, for anything else than a valid text. */
function parseTraceParent(parent: unknown): Context {
  const match = typeof parent === 'string' ? TRACE_PARENT.exec(parent) : null;
  if (match === null) return ROOT_CONTEXT;
  const [, traceId = '', spanId = '', flags = ''] = match;
  const traceFlags = Number.parseInt(flags, 16) & SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

const toActive = (span: Span): ActiveSpan => ({
  fail(code, isFault) {
    span.setAttribute('error.type', code);
    if (isFault) span.setStatus({ code: SpanStatusCode.ERROR });
  },
});

/** Returns the code of an error, or its class. Messages of a database may contain values. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
