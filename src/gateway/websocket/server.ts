import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, getOperationAST } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import type { ServerOptions, SubscribePayload } from 'graphql-ws';
import { WebSocket, WebSocketServer } from 'ws';
import { retry } from '../../lib/backoff.ts';
import { DomainError, endsStreams, ERROR_CODES, streamEnded, unauthenticated } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { createContext } from '../../schema/context.ts';
import type { Context } from '../../schema/context.ts';
import { findToken, findTokenInOperation, findTokenInUpgrade, firstOf } from '../bearer-token.ts';
import { codeOf } from '../execution/format-error.ts';
import { openWhenAvailable } from '../execution/deferred-results.ts';
import type { Ports } from '../ports.ts';
import type { DocumentRequest } from '../execution/requested-documents.ts';
import { signalOf } from '../ports.ts';
import {
  createConnection,
  endConnection,
  freeConnection,
  logIn,
  openOwnSession,
  closeOwnSession,
  renewSession,
} from './connection.ts';
import type { Connection } from './connection.ts';
import { createReceiver } from './frame-writer.ts';
import { clearRetained, isUnexpectedFrame } from './graphql-ws-internals.ts';
import { requireWsInternals } from './ws-internals.ts';

const MAX_FRAME_BYTES = 1024 * 1024;
const MAX_OPERATIONS = 1_000;
const INIT_TIMEOUT_MS = 10_000;
const PING_MS = 30_000;
const SILENCE_MS = 90_000;
const MAX_UNREAD_BYTES = 1024 * 1024;

export interface GraphqlSockets {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Closes every connection with the reason given, once its queries and mutations are answered. */
  close(reason: EndReason): void;
}

/** GraphQL over WebSocket, subprotocol `graphql-transport-ws`. */
export function createGraphqlSockets(ports: Ports): GraphqlSockets {
  const { formatError, metrics, deps } = ports;
  const { log } = deps;
  requireWsInternals();
  const wss = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, handleProtocols });
  const connections = new Set<Connection>();
  const protocol = makeServer(protocolOptions(ports));

  const opened = (socket: WebSocket, request: IncomingMessage): void => {
    const { socket: stream } = request;
    let handle = async (_text: string): Promise<void> => undefined;
    const connection = createConnection(socket, stream, (text) => handle(text));
    connection.upgradeToken = findTokenInUpgrade(request);
    connections.add(connection);
    metrics.connections.inc({ transport: 'graphql-ws' });
    const stopPings = keepAlive(socket, () => {
      connection.end ??= 'SILENT';
      socket.terminate();
    });
    applyBackpressure(socket, stream);
    const failed = (error: unknown): void => {
      connection.end ??= 'PROTOCOL';
      if (isUnexpectedFrame(error)) return socket.close(CloseCode.BadRequest, 'Invalid message received');
      const code = codeOf(formatError(error)) ?? 'INTERNAL';
      const row = ERROR_CODES[code];
      socket.close('close' in row ? row.close : CloseCode.InternalServerError, code);
    };
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => send(connection, text),
        onPing: async (payload) => {
          const answer = await pong(ports, connection, payload);
          await send(
            connection,
            JSON.stringify({ type: 'pong', ...(answer !== undefined && { payload: answer }) }),
          );
        },
        close(code, reason) {
          connection.end ??= 'PROTOCOL';
          socket.close(code, reason);
        },
        onMessage: (given) => void (handle = given),
      },
      connection,
    );
    socket.on('message', (data: Buffer) => {
      // The client runs again, on its next connection, what it began too late here.
      if (connection.closing !== undefined && !endsStreams(connection.closing)) return;
      connection.operations.receive(data.toString()).catch(failed);
    });
    socket.on('error', (error) => log.debug({ err: error }, 'GraphQL WebSocket error'));
    socket.once('close', (code, reason) => {
      stopPings();
      connections.delete(connection);
      const { end = 'CLIENT', live } = connection;
      metrics.connections.dec({ transport: 'graphql-ws' });
      metrics.connectionEnds.inc({ transport: 'graphql-ws', reason: end });
      const actor = live?.session.actor;
      log[end === 'CLIENT' ? 'debug' : 'info']({ reason: end, actor, code }, 'a GraphQL connection is over');
      freeConnection(connection);
      closed(code, reason.toString()).catch(failed);
    });
  };
  wss.on('connection', opened);

  return {
    handleUpgrade(request, socket, head) {
      wss.handleUpgrade(request, socket, head, (webSocket) => wss.emit('connection', webSocket, request));
    },
    close(reason) {
      for (const connection of connections) endConnection(connection, reason);
      wss.close();
    },
  };
}

interface Origin {
  readonly connection: Connection;
  readonly id: string;
}

type ProtocolOptions = ServerOptions<Record<string, unknown>, Connection>;

function protocolOptions(ports: Ports): ProtocolOptions {
  const { engine, formatError, metrics } = ports;
  /** The protocol's library hands an operation's context on, and not its connection and id. */
  const origins = new WeakMap<Context, Origin>();
  return {
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    async onConnect(connecting) {
      const { connectionParams, extra } = connecting;
      clearRetained(connecting, 'connectionParams');
      const found = firstOf([findToken(connectionParams), extra.upgradeToken]);
      extra.upgradeToken = undefined;
      if (found?.token !== undefined) return logIn(ports, extra, found.token);
      if (found?.isBlank === true) extra.refusal = found.problem;
      return found === undefined || found.isBlank;
    },
    async onSubscribe({ extra }, id, payload) {
      const { operationName, variables } = payload;
      const requested: DocumentRequest = { ...payload };
      clearRetained(payload, 'query');
      metrics.operations.inc({ transport: 'graphql-ws' });
      // What was sent before the client closed too may still come, and its session may be over.
      const { aborted, reason } = extra.controller.signal;
      if (aborted)
        return [
          formatError(typeof reason === 'string' ? streamEnded(reason as EndReason) : unauthenticated()),
        ];
      if (extra.operations.size > MAX_OPERATIONS) return [formatError(tooManyOperations())];
      const document = parsed(ports, requested);
      if (Array.isArray(document)) return document;
      const operation = getOperationAST(document, operationName);
      if (operation == null)
        return [formatError(new GraphQLError('There is no such operation in the document.'))];
      try {
        const contextValue = await retry(() => contextOf(ports, extra, payload), {
          // A subscription waits for the database here too; a query is told.
          isRetryable: (error) =>
            operation.operation === 'subscription' && codeOf(formatError(error)) === 'UNAVAILABLE',
          isWanted: () => !extra.controller.signal.aborted,
        });
        origins.set(contextValue, { connection: extra, id });
        return { schema: engine.schema, document, operationName, variableValues: variables, contextValue };
      } catch (error) {
        return [formatError(error)];
      }
    },
    execute({ document, operationName, variableValues: variables, contextValue }) {
      const context = contextValue as Context;
      const work = () => engine.execute({ document, operationName, variables, context });
      return origins.get(context)?.connection.turns.run(work) ?? work();
    },
    subscribe({ document, operationName, variableValues: variables, contextValue }) {
      const context = contextValue as Context;
      const origin = origins.get(context);
      origin?.connection.operations.streams(origin.id);
      const semaphore = origin?.connection.resultTurns;
      const receiver = origin && createReceiver(origin.connection, origin.id);
      const operation = { document, operationName, variables, context, semaphore, receiver };
      return openWhenAvailable(() => engine.subscribe(operation));
    },
    onError({ extra }, id, _payload, errors) {
      extra.operations.ended(id);
      return errors.map((error) => formatError(error).toJSON());
    },
    onComplete({ extra }, id, payload) {
      extra.operations.ended(id);
      closeOwnSession(extra, payload);
    },
  };
}

/** A ping may bring a new token, before the present one expires: its pong says whether the connection goes on with it. */
async function pong(
  ports: Ports,
  connection: Connection,
  payload: Record<string, unknown> | undefined,
): Promise<Record<string, unknown> | undefined> {
  const found = findToken(payload);
  if (found === undefined) return payload;
  try {
    if (found.token === undefined) throw unauthenticated(found.problem);
    const { expiresAt } = await renewSession(ports, connection, found.token);
    return { refreshed: true, expiresAt: new Date(expiresAt).toISOString() };
  } catch (error) {
    const { message, extensions } = ports.formatError(error);
    return { refreshed: false, message, ...extensions };
  }
}

/** An operation that brings a token of its own, in `extensions.headers` as GraphiQL does, runs with the session of that. */
async function contextOf(ports: Ports, connection: Connection, payload: SubscribePayload): Promise<Context> {
  const { live, controller } = connection;
  const found = findTokenInOperation(payload.extensions);
  if (found?.isBlank === false) throw unauthenticated(found.problem);
  const own =
    found?.token === undefined ? undefined : await openOwnSession(ports, connection, payload, found.token);
  const session = (own ?? live)?.session ?? null;
  const signal = own === undefined ? controller.signal : AbortSignal.any([controller.signal, signalOf(own)]);
  // What brought a token of its own does not speak for the connection.
  const renew = async (renewed: string) => void (await renewSession(ports, connection, renewed));
  return createContext({
    deps: ports.deps,
    session,
    refusal: connection.refusal ?? found?.problem,
    signal,
    budget: connection.budget,
    renewSession: own === undefined ? renew : undefined,
  });
}

function parsed({ engine, documents, formatError }: Ports, requested: DocumentRequest) {
  try {
    const document = engine.parse(documents.textOf(requested) ?? '');
    const errors = engine.validate(document);
    return errors.length === 0 ? document : [...errors];
  } catch (error) {
    if (error instanceof GraphQLError || error instanceof DomainError) return [formatError(error)];
    throw error;
  }
}

const tooManyOperations = (): DomainError => {
  const limit = `${MAX_OPERATIONS} operations at a time`;
  return new DomainError('LIMIT_EXCEEDED', `A connection may run ${limit}.`, { limit });
};

/**
 * Writes a frame, in one piece with all that is said on the connection before the event loop goes on: an answer and its
 * `complete` are one write. Resolves when the client may be told more.
 */
function send({ socket, stream }: Connection, text: string): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== WebSocket.OPEN) return resolve();
    stream.cork();
    process.nextTick(() => stream.uncork());
    // A frame that fails finds the connection broken, and its close frees all.
    socket.send(text, () => resolve());
    if (!stream.writableNeedDrain) resolve();
  });
}

/** Takes nothing more from a client that asks, or pings, faster than it reads the answers. */
function applyBackpressure(socket: WebSocket, stream: Duplex): void {
  const check = (): void => {
    if (stream.writableLength > MAX_UNREAD_BYTES) socket.pause();
  };
  socket.on('message', check).on('ping', check);
  stream.on('drain', () => socket.resume());
}

/** Pings, and says of a connection from which nothing has come for long that it is silent: its network is gone. */
function keepAlive(socket: WebSocket, onSilence: () => void): () => void {
  let heard = performance.now();
  const hear = () => void (heard = performance.now());
  socket.on('pong', hear).on('message', hear).on('ping', hear);
  const timer = setInterval(() => {
    if (performance.now() - heard > SILENCE_MS) onSilence();
    else socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}
