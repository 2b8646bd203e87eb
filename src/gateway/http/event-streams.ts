import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import type { ListConnections } from '../../live-connections.ts';
import { BufferBudget } from '../../lib/buffer-budget.ts';
import { createContext } from '../../schema/context.ts';
import { findTokenInRequest } from '../bearer-token.ts';
import type { Operation } from '../execution/operation.ts';
import type { ResultStream } from '../execution/result-stream.ts';
import { openWhenAvailable } from '../execution/retry-on-outage.ts';
import { identify } from '../identity.ts';
import type { Ports } from '../ports.ts';
import { encodeEventStream } from './sse.ts';
import { SseConnection } from './sse-connection.ts';

const TRANSPORT = { transport: 'sse' } as const;

export interface SseRequest {
  readonly request: Request;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** Subscriptions over SSE: each is a connection with a session of its own. */
export interface EventStreams {
  /** Opens the subscription of a request. Returns a result with errors when it is rejected. */
  open(
    sseRequest: SseRequest,
    operation: Omit<Operation, 'context'>,
  ): Promise<ResultStream | ExecutionResult>;
  /** Encodes the results of the subscription that was opened for the request. */
  encode(request: Request, results: ResultStream): ReadableStream<Uint8Array>;
  /** Returns functions that each end one of the open responses, so that its client reconnects, oldest first. */
  drain(): (() => void)[];
  readonly listConnections: ListConnections;
}

export function createEventStreams(ports: Ports, drainSignal: AbortSignal): EventStreams {
  const { deps, engine, formatError, metrics } = ports;
  const { log } = deps;
  /** Connections by request: Yoga passes on only the results of a subscription, wrapped, and its request. */
  const byRequest = new WeakMap<Request, SseConnection>();
  const connections = new Set<SseConnection>();

  metrics.beforeScrape(() => {
    let [socketBytes, streamBytes] = [0, 0];
    for (const { receiver, budget } of connections) {
      socketBytes += receiver.queuedBytes;
      streamBytes += budget.reserved;
    }
    metrics.queuedBytes.set({ queue: 'socket', ...TRANSPORT }, socketBytes);
    metrics.queuedBytes.set({ queue: 'stream', ...TRANSPORT }, streamBytes);
  });

  /** Logs and counts a connection whose subscription was accepted, until the stack is disposed. */
  const register = (connection: SseConnection, stack: DisposableStack): void => {
    const logFields = { connection: connection.id, ...TRANSPORT, account: connection.account };
    connections.add(connection);
    log.debug({ ...logFields, address: connection.address }, 'connection opened');
    stack.defer(() => {
      connections.delete(connection);
      const reason = connection.endReason ?? 'CLIENT';
      metrics.connectionEnds.inc({ ...TRANSPORT, reason });
      const { durationMs } = connection;
      log[reason === 'CLIENT' ? 'debug' : 'info'](
        { ...logFields, reason, durationMs, operations: 1 },
        'connection closed',
      );
    });
  };

  const subscribe = async (
    { request, req }: SseRequest,
    operation: Omit<Operation, 'context'>,
    connection: SseConnection,
  ): Promise<ResultStream | ExecutionResult> => {
    const stack = new DisposableStack();
    try {
      const { session: liveSession, tokenProblem } = await identify(
        ports,
        req,
        findTokenInRequest(req),
        ports.openSession,
      );
      stack.defer(() => liveSession?.close());
      metrics.connections.inc(TRANSPORT);
      stack.defer(() => metrics.connections.dec(TRANSPORT));
      connection.session = liveSession?.session;
      liveSession?.onEnd((reason) => connection.endSession(reason));
      const context = createContext({
        deps,
        session: liveSession?.session ?? null,
        tokenProblem,
        signal: connection.endController.signal,
        budget: connection.budget,
        address: connection.address,
        resumeAfter: request.headers.get('last-event-id'),
      });
      const result = await engine.subscribe({
        ...operation,
        context,
        origin: connection,
        // A rejected subscription counts as a request, not as a connection.
        onAccepted: () => register(connection, stack),
      });
      return withCleanup(result, stack);
    } catch (error) {
      stack.dispose();
      return { errors: [formatError(error)] };
    }
  };

  return {
    async open(sseRequest, operation) {
      const { request } = sseRequest;
      const connection = new SseConnection(
        sseRequest.res,
        ports.nextConnectionId('sse'),
        ports.addressOf(sseRequest.req),
        new BufferBudget(undefined, ports.ledgers.buffered),
        drainSignal,
      );
      byRequest.set(request, connection);
      const { receiver } = connection;
      const result = await openWhenAvailable(
        () => subscribe(sseRequest, { ...operation, receiver }, connection),
        formatError,
      );
      connection.results = Symbol.asyncIterator in result ? result : undefined;
      return Symbol.asyncIterator in result ? returnOnAbort(request.signal, result) : result;
    },
    drain: () => [...connections].map((connection) => () => connection.endSession('DRAINING')),
    *listConnections() {
      for (const connection of connections) if (connection.endReason === undefined) yield connection;
    },
    encode(request, results) {
      const connection = byRequest.get(request);
      return encodeEventStream(results, connection?.receiver, connection?.closeSignal);
    },
  };
}

/** Disposes of the stack when the stream ends in any way, or immediately if there is no stream. */
function withCleanup(
  result: ResultStream | ExecutionResult,
  stack: DisposableStack,
): ResultStream | ExecutionResult {
  if (!(Symbol.asyncIterator in result)) {
    stack.dispose();
    return result;
  }
  const stream: ResultStream = {
    get status() {
      return result.status;
    },
    end: (reason) => result.end(reason),
    async next() {
      try {
        const step = await result.next();
        if (step.done === true) stack.dispose();
        return step;
      } catch (error) {
        stack.dispose();
        throw error;
      }
    },
    return() {
      stack.dispose();
      return result.return();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

/** Closes the stream when the client disconnects. Yoga drops it without `return()` if that happens while it opens. */
function returnOnAbort(signal: AbortSignal, stream: ResultStream): ResultStream {
  const close = (): void => void stream.return();
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
  return stream;
}
