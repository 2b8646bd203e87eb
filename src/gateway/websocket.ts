import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, getOperationAST } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import type { ServerOptions } from 'graphql-ws';
import { WebSocket, WebSocketServer } from 'ws';
import type { LiveSession } from '../domain/sessions.ts';
import { DomainError } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { createContext } from '../schema/context.ts';
import type { Context } from '../schema/context.ts';
import { bearerToken } from './bearer.ts';
import type { Engine } from './engine.ts';
import type { Ports } from './ports.ts';

const MAX_FRAME_BYTES = 1024 * 1024;
const MAX_OPERATIONS = 1_000;
const INIT_TIMEOUT_MS = 10_000;
const PING_MS = 30_000;
const SILENCE_MS = 90_000;
const LAST_FRAMES_MS = 1_000;

/** The close code with which a whole connection ends, for each reason the server can have. */
const CLOSE_CODES: Record<EndReason, number> = {
  LOGGED_OUT: 4401,
  TOKEN_EXPIRED: 4401,
  ACCOUNT_DELETED: 4401,
  LEFT: 4403,
  KICKED: 4403,
  DELETED: 4403,
  ACCESS_REMOVED: 4403,
  SLOW: 1013,
  DRAINING: 1012,
  OPERATOR: 1012,
};

export interface GraphqlSockets {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Ends every stream, then every connection, with the reason given. */
  close(reason: EndReason): void;
}

/** What this server knows of one connection. */
interface Connection {
  readonly socket: WebSocket;
  /** Aborted with the reason when the server ends the connection: its streams end by it. */
  readonly controller: AbortController;
  /** Subscriptions that have not sent their last frame. */
  readonly streams: Set<string>;
  live: LiveSession | undefined;
}

/** GraphQL over WebSocket, subprotocol `graphql-transport-ws`. */
export function createGraphqlSockets(ports: Ports): GraphqlSockets {
  const { metrics, deps } = ports;
  const { log } = deps;
  const wss = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, handleProtocols });
  const connections = new Set<Connection>();
  const protocol = makeServer(protocolOptions(ports));

  const opened = (socket: WebSocket): void => {
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const connection: Connection = {
      socket,
      controller,
      streams: new Set(),
      live: undefined,
    };
    connections.add(connection);
    metrics.connections.inc({ transport: 'graphql-ws' });
    const stopPings = keepAlive(socket);
    const failed = (error: unknown): void => {
      log.error({ err: error }, 'a GraphQL WebSocket frame could not be handled');
      socket.close(CloseCode.InternalServerError, 'Internal server error');
    };
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => send(socket, text),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) =>
          socket.on('message', (data: Buffer) => void handle(data.toString()).catch(failed)),
      },
      connection,
    );
    socket.on('error', (error) => log.debug({ err: error }, 'GraphQL WebSocket error'));
    socket.once('close', (code, reason) => {
      stopPings();
      connections.delete(connection);
      metrics.connections.dec({ transport: 'graphql-ws' });
      connection.live?.close();
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

type ProtocolOptions = ServerOptions<Record<string, unknown>, Connection>;

function protocolOptions(ports: Ports): ProtocolOptions {
  const { deps, engine, formatError, metrics } = ports;
  const contextOf = ({ live, controller }: Connection): Context =>
    createContext({ deps, session: live?.session ?? null, signal: controller.signal });

  return {
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    async onConnect({ connectionParams: given, extra }) {
      const token = bearerToken(given?.['authorization'] ?? given?.['Authorization'] ?? given?.['token']);
      return token === undefined || login(ports, extra, token);
    },
    onSubscribe({ extra, subscriptions }, _id, { query, operationName, variables }) {
      metrics.operations.inc({ transport: 'graphql-ws' });
      if (Object.keys(subscriptions).length > MAX_OPERATIONS) return [formatError(tooManyOperations())];
      const document = parsed(engine, query);
      if (Array.isArray(document)) return document;
      if (getOperationAST(document, operationName) == null)
        return [formatError(new GraphQLError('There is no such operation in the document.'))];
      return {
        schema: engine.schema,
        document,
        operationName,
        variableValues: variables,
        contextValue: contextOf(extra),
      };
    },
    execute: ({ document, operationName, variableValues: variables, contextValue }) =>
      engine.execute({ document, operationName, variables, context: contextValue as Context }),
    subscribe: ({ document, operationName, variableValues: variables, contextValue }) =>
      engine.subscribe({ document, operationName, variables, context: contextValue as Context }),
    onOperation({ extra }, id, _payload, _args, result) {
      if (Symbol.asyncIterator in result) extra.streams.add(id);
    },
    onError: (_connection, _id, _payload, errors) => errors.map((error) => formatError(error).toJSON()),
    onComplete({ extra }, id) {
      extra.streams.delete(id);
      if (extra.controller.signal.aborted && extra.streams.size === 0) closeSocket(extra);
    },
  };
}

function parsed(engine: Engine, text: string) {
  try {
    const document = engine.parse(text);
    const errors = engine.validate(document);
    return errors.length === 0 ? document : [...errors];
  } catch (error) {
    if (error instanceof GraphQLError) return [error];
    throw error;
  }
}

const tooManyOperations = (): DomainError => {
  const limit = `${MAX_OPERATIONS} operations at a time`;
  return new DomainError('LIMIT_EXCEEDED', `A connection may run ${limit}.`, { limit });
};

/** Answers whether the token was accepted. */
async function login(ports: Ports, connection: Connection, token: string): Promise<boolean> {
  try {
    const live = await ports.openSession(token);
    connection.live = live;
    live.signal.addEventListener('abort', () => endConnection(connection, live.signal.reason as EndReason), {
      once: true,
    });
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED') return false;
    throw error;
  }
  // The client may have gone meanwhile: its close found nothing to free yet.
  if (connection.socket.readyState !== WebSocket.OPEN) connection.live.close();
  return true;
}

/** Lets every stream of the connection say why it ends, then closes it. A client that does not read is not waited for. */
function endConnection(connection: Connection, reason: EndReason): void {
  if (connection.controller.signal.aborted) return;
  connection.controller.abort(reason);
  if (connection.streams.size === 0) closeSocket(connection);
  else setTimeout(() => closeSocket(connection), LAST_FRAMES_MS).unref();
}

function closeSocket({ socket, controller }: Connection): void {
  const reason = controller.signal.reason as EndReason;
  socket.close(CLOSE_CODES[reason], reason);
}

function send(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.readyState !== WebSocket.OPEN) return resolve();
    socket.send(text, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** Pings, and ends a connection from which nothing has come for long: its network is gone. */
function keepAlive(socket: WebSocket): () => void {
  let heard = Date.now();
  const hear = () => void (heard = Date.now());
  socket.on('pong', hear).on('message', hear).on('ping', hear);
  const timer = setInterval(() => {
    if (Date.now() - heard > SILENCE_MS) socket.terminate();
    else socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}
