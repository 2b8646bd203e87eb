import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { payerOf } from '../../actor.ts';
import { DomainError } from '../../errors.ts';
import { priorityOfLogin } from '../../lib/turn-clock.ts';
import { createContext } from '../../schema/context.ts';
import type { Operation } from '../execution/operation.ts';
import { idsInUrl, withoutIds } from '../execution/document-resolver.ts';
import type { ResultStream } from '../execution/result-stream.ts';
import { challengeOf, rejectWithoutLogin } from '../identity.ts';
import { countErrors } from '../count-errors.ts';
import { acceptsEventStream, EVENT_STREAM } from './content-negotiation.ts';
import type { EventStreams, SseRequest } from './event-streams.ts';
import { withCodes, withStatus } from './error-status.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { chargeBody, countParsedBytes } from './held-bytes.ts';
import { requestIdOf } from './operation-origin.ts';
import { limitBody } from './request-body.ts';

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that compresses would delay events until its block is full.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** The context that Yoga is given with each request. */
export interface ServerContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** Creates the plugin that replaces Yoga's parser, validation, execution and error codes by those of the engine. */
export function createYogaPlugin(
  ports: GraphqlHttpPorts,
  eventStreams: EventStreams,
): Plugin<object, ServerContext> {
  const { deps, documentResolver, engine, formatError, identifyRequest, metrics, originOf, turnClock } =
    ports;
  const operationOf = (args: ExecutionArgs, req: IncomingMessage): Omit<Operation, 'context'> => {
    metrics.operations.inc({ transport: 'http' });
    return {
      document: args.document,
      operationName: args.operationName,
      variables: args.variableValues,
      traceParent: req.headers['traceparent'],
      operationId: requestIdOf(req),
    };
  };
  const exchangeOf = (args: ExecutionArgs): SseRequest => {
    const { request, req, res } = args.contextValue as YogaInitialContext & ServerContext;
    return { request, req, res };
  };

  const execute = async (args: ExecutionArgs): Promise<ExecutionResult> => {
    const { request, req } = exchangeOf(args);
    const operation = operationOf(args, req);
    try {
      const { session = null, ...identity } = await identifyRequest(req);
      if (turnClock.isOver()) await turnClock.nextTurn(priorityOfLogin(session));
      const origin = originOf(req);
      const { address } = origin;
      const context = createContext({ deps, session, address, ...identity, signal: request.signal });
      const { document, operationName } = operation;
      const result = await engine.execute({ ...operation, context, origin });
      return rejectWithoutLogin(result, { document, operationName, context });
    } catch (error) {
      return { errors: [formatError(error)] };
    }
  };

  const subscribe = async (args: ExecutionArgs): Promise<ResultStream | ExecutionResult> => {
    const exchange = exchangeOf(args);
    const operation = operationOf(args, exchange.req);
    // Checked before the stream is opened: Yoga would respond with 406 afterwards, and leave the stream open.
    if (!acceptsEventStream(exchange.request.headers.get('accept')))
      return { errors: [formatError(notAcceptableError())] };
    return eventStreams.open(exchange, operation);
  };

  return {
    onRequestParse({ request, requestParser, setRequestParser, serverContext: { req, res } }) {
      if (requestParser === undefined) return;
      limitBody(request, requestParser, setRequestParser, {
        beforeDecoding: (bytes) => chargeBody(ports, req, bytes),
        beforeParsing: (json) => countParsedBytes(ports, req, res, json),
      });
    },
    async onParams({ params, setParams, request, context }) {
      // Yoga itself rejects parameters that are not an object.
      if (typeof params !== 'object' || params === null || Array.isArray(params)) return;
      const ids = request.method === 'GET' ? idsInUrl(context.req.url) : params;
      try {
        if (typeof params.query === 'string' && !engine.isCached(params.query)) {
          const { session = null } = await identifyRequest(context.req);
          await engine.admitDocument(params.query, payerOf(session, ports.addressOf(context.req)));
        }
        const query = documentResolver.resolveText({ ...params, ...ids });
        setParams({ ...withoutIds(params), ...(query !== undefined && { query }) });
      } catch (error) {
        throw formatError(error);
      }
    },
    onParse: ({ setParseFn }) => setParseFn((text: string) => engine.parse(text)),
    onValidate: ({ setValidationFn }) =>
      setValidationFn((_schema, document) => engine.validate(document).map((error) => withStatus(error))),
    onResponse({ response, serverContext }) {
      if (response.status === 401) response.headers.set('www-authenticate', challengeOf(serverContext.req));
    },
    onExecute: ({ setExecuteFn }) => setExecuteFn(execute),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe),
    onResultProcess({ request, result, setResult, setResultProcessor }) {
      if (Array.isArray(result)) return;
      if (!(Symbol.asyncIterator in result)) {
        const coded = withCodes(result, formatError, request.headers.get('accept') === EVENT_STREAM);
        countErrors(metrics, 'http', coded.errors);
        return setResult(coded);
      }
      setResultProcessor(
        (stream, { Response }) =>
          new Response(eventStreams.encode(request, stream as ResultStream), {
            headers: EVENT_STREAM_HEADERS,
          }),
        EVENT_STREAM,
      );
    },
  };
}

const notAcceptableError = (): DomainError =>
  new DomainError(
    'INVALID_INPUT',
    'The results of a subscription are sent as text/event-stream: name it in `Accept`.',
  );
