import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createYoga } from 'graphql-yoga';
import { isGraphiqlOn } from '../../config.ts';
import type { EndReason } from '../../errors.ts';
import type { Ports } from '../ports.ts';
import type { ListConnections } from '../../live-connections.ts';
import { acceptsHtml, EVENT_STREAM, negotiate } from './content-negotiation.ts';
import type { Cors } from './cors.ts';
import { createEventStreams } from './event-streams.ts';
import { DEFAULT_QUERY, DEFAULT_VARIABLES, PERSISTED_ONLY } from './graphiql-default-query.ts';
import { createGraphiqlHandler } from './graphiql.ts';
import { countHeldBytes } from './held-bytes.ts';
import { executeMultipart } from './graphql-multipart.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { isMultipart } from './multipart.ts';
import { createOperationOrigins } from './operation-origin.ts';
import { createJsonPosts } from './json-post.ts';
import { DRAINING, drainRequest, sendHttpError } from './respond.ts';
import { encodeRetry } from './sse.ts';
import { isUnpreflighted, PREFLIGHT_REQUIRED } from './preflight.ts';
import { createIdentifyRequest } from './request-identity.ts';
import { createYogaPlugin, EVENT_STREAM_HEADERS } from './yoga-plugin.ts';
import type { ServerContext } from './yoga-plugin.ts';

/** A token may be in the URL, so a shared cache could not tell that the result is private. */
const PRIVATE = 'private, no-cache';

export interface GraphqlHttp {
  /** The open event streams. */
  readonly listConnections: ListConnections;
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Accepts no more event streams. Returns functions that each end one, so that its client reconnects, oldest first. */
  drain(): (() => void)[];
  /** Ends all event streams that are left. */
  close(): void;
}

/** Creates the handler of GraphQL over HTTP, with Server-Sent Events for subscriptions and GraphiQL for browsers. */
export function createGraphqlHttp(
  gatewayPorts: Ports,
  cors: Cors,
  demoEmails: readonly string[],
): GraphqlHttp {
  const ports: GraphqlHttpPorts = {
    ...gatewayPorts,
    originOf: createOperationOrigins(gatewayPorts.addressOf, gatewayPorts.nextConnectionId),
    identifyRequest: createIdentifyRequest(gatewayPorts),
  };
  const drainController = new AbortController();
  // Every event stream listens; the default limit would print a warning.
  setMaxListeners(0, drainController.signal);
  const eventStreams = createEventStreams(ports, drainController.signal);
  const jsonPosts = createJsonPosts(ports);
  let isDraining = false;
  const yoga = createYoga<ServerContext>({
    schema: ports.engine.schema,
    plugins: [createYogaPlugin(ports, eventStreams, jsonPosts.takeResult)],
    graphqlEndpoint: '/graphql',
    landingPage: false,
    cors: false,
    maskedErrors: false,
    parserAndValidationCache: false,
    multipart: false,
    // The plugin limits bodies: Yoga 5.24.1 would pipe each body through one more stream, which lives on as garbage.
    maxRequestBodySize: false,
    logging: ports.deps.log,
    graphiql: false,
  });
  const { config } = ports.deps;
  const sendGraphiql = isGraphiqlOn(config)
    ? createGraphiqlHandler({
        title: 'Parley',
        endpoint: '/graphql',
        ...(config.OPERATIONS === 'persisted'
          ? { defaultQuery: PERSISTED_ONLY, accounts: [] }
          : {
              defaultQuery: DEFAULT_QUERY,
              defaultVariables: DEFAULT_VARIABLES,
              accounts: demoEmails,
            }),
      })
    : undefined;
  return {
    listConnections: eventStreams.listConnections,
    async handle(request, response) {
      // GET has a page or a result, and the result of one token or another.
      response.appendHeader('vary', 'Accept, Authorization');
      if (isUnpreflighted(request) && !cors.isTrusted(request)) {
        drainRequest(request);
        return sendHttpError(response, PREFLIGHT_REQUIRED);
      }
      await countHeldBytes(ports, request, response);
      if (response.headersSent || response.closed) return;
      if (request.method === 'POST' && isMultipart(request))
        return executeMultipart(ports, request, response);
      if (jsonPosts.accepts(request)) {
        response.setHeader('cache-control', PRIVATE);
        if (await jsonPosts.receive(request, response)) return;
      }
      const error = negotiate(request);
      if (isDraining && request.headers.accept === EVENT_STREAM) return refuseEventStream(request, response);
      if (error === undefined && sendGraphiql !== undefined && acceptsHtml(request))
        return sendGraphiql(request, response);
      response.setHeader('cache-control', PRIVATE);
      if (error === undefined) return yoga.handle(request, response, { req: request, res: response });
      drainRequest(request);
      sendHttpError(response, error);
    },
    drain() {
      isDraining = true;
      return eventStreams.drain();
    },
    close: () => drainController.abort('DRAINING' satisfies EndReason),
  };
}

/**
 * Sends a client that requests an event stream to another node. An error is final to a browser's `EventSource`, which
 * uses GET and reconnects after the end of a response; other clients repeat what receives 503.
 */
function refuseEventStream(request: IncomingMessage, response: ServerResponse): void {
  drainRequest(request);
  if (request.method === 'POST') return sendHttpError(response, DRAINING);
  response.writeHead(200, EVENT_STREAM_HEADERS).end(encodeRetry());
}
