import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { payerOf } from '../../actor.ts';
import { DomainError } from '../../errors.ts';
import { idsInUrl, withoutIds } from '../execution/document-resolver.ts';
import type { ResultStream } from '../execution/result-stream.ts';
import { challengeOf } from '../identity.ts';
import { countErrors } from '../count-errors.ts';
import { acceptsEventStream, EVENT_STREAM } from './content-negotiation.ts';
import type { EventStreams, SseRequest } from './event-streams.ts';
import { withCodes, withStatus } from './error-status.ts';
import { executeRequest, receiveOperation } from './execute-request.ts';
import type { RequestedOperation } from './execute-request.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { chargeBody, countParsedBytes } from './held-bytes.ts';
import type { JsonPosts } from './json-post.ts';
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
  takeResult: JsonPosts['takeResult'],
): Plugin<object, ServerContext> {
  const { documentResolver, engine, formatError, identifyRequest, metrics } = ports;
  const exchangeOf = (args: ExecutionArgs): SseRequest => {
    const { request, req, res } = args.contextValue as YogaInitialContext & ServerContext;
    return { request, req, res };
  };

  const execute = (args: ExecutionArgs): Promise<ExecutionResult> => {
    const { request, req } = exchangeOf(args);
    return executeRequest(ports, requestedOf(args), req, request.signal);
  };

  const subscribe = async (args: ExecutionArgs): Promise<ResultStream | ExecutionResult> => {
    const exchange = exchangeOf(args);
    const operation = receiveOperation(ports, requestedOf(args), exchange.req);
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
    async onParams({ params, setParams, setResult, request, context }) {
      // Yoga itself rejects parameters that are not an object.
      if (typeof params !== 'object' || params === null || Array.isArray(params)) return;
      const result = takeResult(context.req);
      if (result !== undefined) return setResult(result);
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

const requestedOf = ({
  document,
  operationName,
  variableValues: variables,
}: ExecutionArgs): RequestedOperation => ({
  document,
  operationName,
  variables,
});

const notAcceptableError = (): DomainError =>
  new DomainError(
    'INVALID_INPUT',
    'The results of a subscription are sent as text/event-stream: name it in `Accept`.',
  );
