import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseContentType } from 'content-type';
import { GraphQLError } from 'graphql';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import { createYoga } from 'graphql-yoga';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { isGraphiqlOn } from '../../config.ts';
import { DomainError, endsStreams, ERROR_CODES } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { createContext } from '../../schema/context.ts';
import { findTokenInRequest } from '../bearer-token.ts';
import type { Operation } from '../execution/engine.ts';
import type { ResultStream } from '../execution/result-stream.ts';
import { codeOf } from '../execution/format-error.ts';
import type { FormatError } from '../execution/format-error.ts';
import { executeMultipart } from './graphql-multipart.ts';
import { FIRST_QUERY, PERSISTED_ONLY } from './graphiql-default-query.ts';
import { challengeOf, identify, refuseWithoutLogin } from '../identity.ts';
import { openWhenAvailable } from '../execution/deferred-results.ts';
import type { Ports } from '../ports.ts';
import { idsInUrl, withoutIds } from '../execution/requested-documents.ts';
import { isMultipart } from './multipart.ts';
import { acceptsEventStream, EVENT_STREAM, negotiate } from './content-negotiation.ts';
import { ignoreRest, sendRefusal } from './respond.ts';
import { createEventStreamReceiver, encodeEventStream } from './sse.ts';
import type { EventStreamReceiver } from './sse.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_DROPPED_BYTES = 16 * MAX_BODY_BYTES;

const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that compresses would hold events back until its block is full.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** What the response of a subscription needs beside its results. */
interface EventStream {
  readonly receiver: EventStreamReceiver;
  /** Aborted when the response is to end though the subscription does not. */
  readonly closing: AbortSignal;
}

export interface GraphqlHttp {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Ends the responses of all event streams, so that their clients reconnect. */
  close(reason: EndReason): void;
}

/** GraphQL over HTTP with Server-Sent Events for subscriptions, and GraphiQL for browsers. */
export function createGraphqlHttp(ports: Ports): GraphqlHttp {
  const draining = new AbortController();
  setMaxListeners(0, draining.signal);
  const firstQuery = ports.deps.config.OPERATIONS === 'persisted' ? PERSISTED_ONLY : FIRST_QUERY;
  const yoga = createYoga<ServerContext>({
    schema: ports.engine.schema,
    plugins: [enginePlugin(ports, draining.signal)],
    graphqlEndpoint: '/graphql',
    landingPage: false,
    cors: false,
    maskedErrors: false,
    parserAndValidationCache: false,
    multipart: false,
    // The engine's plugin bounds it: Yoga's own bound pipes each body through one more stream, which lives on as garbage.
    maxRequestBodySize: false,
    logging: ports.deps.log,

    graphiql: isGraphiqlOn(ports.deps.config) && {
      subscriptionsProtocol: 'WS',
      title: 'Parley',
      logo: '<img src="/page/icon.svg" alt="" width="32" height="32">',
      favicon: '/page/icon.svg',
      defaultQuery: firstQuery,
    },
    async renderGraphiQL(options) {
      const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
      // Without it a browser that has been here before is shown an empty tab.
      const page = { ...options, query: firstQuery };
      return renderGraphiQL(page);
    },
  });
  return {
    async handle(request, response) {
      if (request.method === 'POST' && isMultipart(request))
        return executeMultipart(ports, request, response);
      const refusal = negotiate(request);
      // A token may be in the URL, so that a shared cache would not see that the result is private.
      response.setHeader('cache-control', 'private, no-cache');
      if (refusal === undefined) return yoga.handle(request, response, { req: request, res: response });
      ignoreRest(request);
      sendRefusal(response, refusal);
    },
    close: (reason) => draining.abort(reason),
  };
}

/** What Yoga is handed with each request. */
interface ServerContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

interface Requested {
  readonly request: Request;
  readonly req: IncomingMessage;
}

/** Lets Yoga do HTTP and the engine do GraphQL. */
function enginePlugin(ports: Ports, draining: AbortSignal): Plugin<object, ServerContext> {
  const { deps, documents, engine, formatError, metrics } = ports;
  const operationOf = (args: ExecutionArgs): Omit<Operation, 'context'> & Requested => {
    metrics.operations.inc({ transport: 'http' });
    const { request, req } = args.contextValue as YogaInitialContext & ServerContext;
    return {
      document: args.document,
      operationName: args.operationName,
      variables: args.variableValues,
      request,
      req,
    };
  };
  const refused = (error: unknown): ExecutionResult => ({ errors: [formatError(error)] });

  const execute = async (args: ExecutionArgs): Promise<ExecutionResult> => {
    const { request, req, ...operation } = operationOf(args);
    try {
      const { session = null, refusal } = await identify(findTokenInRequest(req), ports.authenticate);
      const context = createContext({ deps, session, refusal, signal: request.signal });
      const { document, operationName } = operation;
      return refuseWithoutLogin(await engine.execute({ ...operation, context }), {
        document,
        operationName,
        context,
      });
    } catch (error) {
      return refused(error);
    }
  };

  /** Yoga wraps the results of a subscription, and hands on nothing else of it. */
  const eventStreams = new WeakMap<Request, EventStream>();
  const subscribe = async (args: ExecutionArgs): Promise<ResultStream | ExecutionResult> => {
    const { request, req, ...operation } = operationOf(args);
    // Checked first: Yoga would answer 406 once the stream is open, and leave it so.
    if (!acceptsEventStream(request.headers.get('accept'))) return refused(notAcceptable());
    const receiver = createEventStreamReceiver();
    const closing = new AbortController();
    eventStreams.set(request, { receiver, closing: AbortSignal.any([closing.signal, draining]) });
    const result = await openWhenAvailable(() =>
      openEvents({ request, req }, { ...operation, receiver }, closing),
    );
    return Symbol.asyncIterator in result ? endedWith(request.signal, result) : result;
  };

  /** Opens the subscription with its session, which may end it by `closing` too. */
  const openEvents = async (
    { request, req }: Requested,
    operation: Omit<Operation, 'context'>,
    closing: AbortController,
  ): Promise<ResultStream | ExecutionResult> => {
    const stack = new DisposableStack();
    try {
      const { session: live, refusal } = await identify(findTokenInRequest(req), ports.openSession);
      stack.defer(() => live?.close());
      metrics.connections.inc({ transport: 'sse' });
      stack.defer(() => metrics.connections.dec({ transport: 'sse' }));
      const ending = new AbortController();
      live?.onEnd((reason) => (endsStreams(reason) ? ending : closing).abort(reason));
      const resumeAfter = request.headers.get('last-event-id');
      const context = createContext({
        deps,
        session: live?.session ?? null,
        refusal,
        signal: ending.signal,
        resumeAfter,
      });
      const result = await engine.subscribe({ ...operation, context });
      // One that was refused was no connection.
      if (Symbol.asyncIterator in result)
        stack.defer(() => {
          const { reason } = [ending.signal, closing.signal, draining].find(({ aborted }) => aborted) ?? {};
          metrics.connectionEnds.inc({
            transport: 'sse',
            reason: typeof reason === 'string' ? reason : 'CLIENT',
          });
        });
      return withCleanup(result, stack);
    } catch (error) {
      stack.dispose();
      return refused(error);
    }
  };

  return {
    onRequestParse({ request, requestParser, setRequestParser }) {
      if (requestParser === undefined) return;
      requireUtf8(request.headers.get('content-type') ?? '');
      const length = request.headers.get('content-length');
      if (length !== null && Number(length) > MAX_BODY_BYTES) throw bodyTooLarge();
      if (request.body === null) return;
      setRequestParser(async (unread) => {
        const bytes = length === null ? await readBody(unread) : new Uint8Array(await unread.arrayBuffer());
        if (bytes === undefined) throw bodyTooLarge();
        const text = decodeUtf8(bytes);
        // The parsers read nothing else, and a request made of the text would cost more than the rest of the reading.
        return requestParser(
          Object.assign(unread, {
            text: () => Promise.resolve(text),
            json: async () => JSON.parse(text) as unknown,
          }),
        );
      });
    },
    onParams({ params, setParams, request, context }) {
      // What is no object is refused by Yoga.
      if (typeof params !== 'object' || params === null || Array.isArray(params)) return;
      const ids = request.method === 'GET' ? idsInUrl(context.req.url) : params;
      try {
        const query = documents.textOf({ ...params, ...ids });
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
      if (!(Symbol.asyncIterator in result))
        return setResult(withCodes(result, formatError, isAnsweredAsStream(request)));
      setResultProcessor((stream, { Response }) => {
        const { receiver, closing } = eventStreams.get(request) ?? {};
        return new Response(encodeEventStream(stream as ResultStream, receiver, closing), {
          headers: EVENT_STREAM_HEADERS,
        });
      }, 'text/event-stream');
    },
  };
}

/**
 * The body of a request that does not say how long it is; undefined when it is too long. Of that much more is read and
 * dropped, or its sender would find the connection broken instead of an answer. Throws INVALID_INPUT when it breaks off.
 */
async function readBody(request: Request): Promise<Buffer<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > MAX_DROPPED_BYTES) return undefined;
      if (length > MAX_BODY_BYTES) chunks.length = 0;
      else chunks.push(chunk);
    }
  } catch {
    throw new DomainError('INVALID_INPUT', 'The request body is incomplete.');
  }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}

/** Throws for a body that names another charset: JSON has no other (RFC 8259, section 8.1). */
function requireUtf8(contentType: string): void {
  const { charset = 'utf-8' } = parseContentType(contentType).parameters;
  if (!/^['"]?(utf-?8|us-ascii)?['"]?$/i.test(charset))
    throw unsupported(`The charset ${charset} is not supported. Send UTF-8.`);
}

/** The text, without a byte order mark. Throws when it is not UTF-8: what replaces its characters could be stored. */
function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new DomainError('INVALID_INPUT', 'The request body is not UTF-8.');
  }
}

/** The stream, with what must be freed when it ends in whichever way. */
function withCleanup(
  result: ResultStream | ExecutionResult,
  held: DisposableStack,
): ResultStream | ExecutionResult {
  if (!(Symbol.asyncIterator in result)) {
    held.dispose();
    return result;
  }
  const stream: ResultStream = {
    async next() {
      try {
        const step = await result.next();
        if (step.done === true) held.dispose();
        return step;
      } catch (error) {
        held.dispose();
        throw error;
      }
    },
    return() {
      held.dispose();
      return result.return();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

/** Ends the stream when the client goes away, also while it opens: then Yoga drops it without a word. */
function endedWith(gone: AbortSignal, stream: ResultStream): ResultStream {
  const end = (): void => void stream.return();
  if (gone.aborted) end();
  else gone.addEventListener('abort', end, { once: true });
  return stream;
}

/** Errors of Yoga's own about a request get a code of ours, and an answer without data gets their status. */
function withCodes(result: ExecutionResult, formatError: FormatError, streamed: boolean): ExecutionResult {
  if (result.errors === undefined || result.data !== undefined) return result;
  const coded = (error: GraphQLError): GraphQLError => {
    if (codeOf(error) !== undefined) return error;
    if (error.cause instanceof SyntaxError) return formatError(malformedParameters());
    return formatError(statusOf(error) === 413 ? tooLarge() : error);
  };
  return { ...result, errors: result.errors.map((error) => withStatus(coded(error), error, streamed)) };
}

const statusOf = ({ extensions: { http } }: GraphQLError): unknown =>
  typeof http === 'object' && http !== null && 'status' in http ? http.status : undefined;

/** Only its status, as Yoga marks what it refuses: `withCodes` puts both into our words. */
const bodyTooLarge = (): GraphQLError =>
  new GraphQLError('The body is too large.', { extensions: { http: { status: 413 } } });

const unsupported = (message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { http: { status: 415 } } });

const tooLarge = (): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `A request may have at most ${MAX_BODY_BYTES} bytes.`, {
    limit: `${MAX_BODY_BYTES} bytes`,
  });

/** Of a request with `variables` or `extensions` in its URL or form, which are JSON. */
const malformedParameters = (): DomainError =>
  new DomainError('INVALID_INPUT', 'The parameters of the request are not JSON.');

/**
 * Marks the HTTP status: that of the code, or the one that Yoga had `marked`. Yoga takes the mark off again, and with
 * `spec` does not heed it: a document that is refused is answered with 200 to who accepts application/json, and
 * whatever is refused to who accepts an event stream alone (https://github.com/enisdenjo/graphql-sse, PROTOCOL.md).
 */
function withStatus(error: GraphQLError, marked: GraphQLError = error, streamed = false): GraphQLError {
  const { message, nodes, source, positions, path, extensions } = error;
  const status = ERROR_CODES[codeOf(error) ?? 'INTERNAL'].http;
  const http = {
    status,
    ...marked.extensions['http'],
    spec: streamed || (status === 400 && codeOf(marked) !== undefined),
  };
  return new GraphQLError(message, { nodes, source, positions, path, extensions: { ...extensions, http } });
}

const isAnsweredAsStream = (request: Request): boolean => request.headers.get('accept') === EVENT_STREAM;

const notAcceptable = (): DomainError =>
  new DomainError(
    'INVALID_INPUT',
    'A subscription is answered as text/event-stream, which `Accept` must name.',
  );
