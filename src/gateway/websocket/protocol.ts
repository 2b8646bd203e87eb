import { GraphQLError, getOperationAST } from 'graphql';
import type { DocumentNode, ExecutionArgs, ExecutionResult } from 'graphql';
import type { ServerOptions, SubscribePayload } from 'graphql-ws';
import { actorKey, payerOf } from '../../actor.ts';
import { DomainError, streamEnded, unauthenticated } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { retry } from '../../lib/backoff.ts';
import { createContext } from '../../schema/context.ts';
import type { Context } from '../../schema/context.ts';
import { findToken, findTokenInOperation, firstOf } from '../bearer-token.ts';
import { countErrors } from '../count-errors.ts';
import { codeOf } from '../execution/format-error.ts';
import type { Engine } from '../execution/engine.ts';
import type { Operation } from '../execution/operation.ts';
import { openWhenAvailable } from '../execution/retry-on-outage.ts';
import { signalOf } from '../ports.ts';
import type { Ports } from '../ports.ts';
import { whenRead } from './backpressure.ts';
import { closeOwnSession, logIn, openOwnSession, renewSession } from './connection.ts';
import type { WebSocketConnection } from './connection.ts';
import { FrameReceiver } from './frame-writer.ts';
import { clearRetained } from './graphql-ws-internals.ts';
import { WatchedWebSocket } from './watched-socket.ts';

const MAX_OPERATIONS = 1_000;
/** Bytes that the subscriptions of a connection may retain, beyond which it opens no further one. */
const MAX_RETAINED_BYTES = 1024 * 1024;
const INIT_TIMEOUT_MS = 10_000;

interface SocketOperation extends Operation {
  readonly origin: WebSocketConnection;
  readonly operationId: string;
}

/** The result of `onSubscribe`, which graphql-ws passes to `execute` or `subscribe`. */
interface OperationArgs extends ExecutionArgs {
  readonly operation: SocketOperation;
}

type ProtocolOptions = ServerOptions<Record<string, unknown>, WebSocketConnection>;

/** Creates the options of graphql-ws: authentication and execution. graphql-ws does the protocol. */
export function createProtocolOptions(ports: Ports): ProtocolOptions {
  const { deps, engine, formatError, metrics } = ports;
  const refuse = (
    limit: 'operations' | 'variables',
    { address, id, liveSession }: WebSocketConnection,
    error: DomainError,
  ): DomainError => {
    deps.reportRefusal(limit, payerOf(liveSession?.session ?? null, address, id));
    return error;
  };
  const counted = (result: ExecutionResult): ExecutionResult => {
    countErrors(metrics, 'graphql-ws', result.errors);
    return result;
  };
  return {
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    async onConnect(connecting) {
      const { connectionParams, extra } = connecting;
      clearRetained(connecting, 'connectionParams');
      const found = firstOf([findToken(connectionParams), extra.upgradeToken]);
      extra.upgradeToken = undefined;
      if (found?.token === undefined) {
        if (found?.isBlank === true) extra.tokenProblem = found.problem;
        return found === undefined || found.isBlank;
      }
      const isAccepted = await logIn(ports, extra, found.token);
      if (extra.liveSession !== undefined)
        deps.log.debug(
          { connection: extra.id, account: actorKey(extra.liveSession.session.actor) },
          'connection authenticated',
        );
      return isAccepted;
    },
    async onSubscribe({ extra }, id, payload) {
      const { operationName, variables, query } = payload;
      metrics.operations.inc({ transport: 'graphql-ws' });
      extra.operationCount += 1;
      extra.activeAt = performance.now();
      // The session may have ended: frames that the client sent before it received the close still arrive.
      const { aborted, reason } = extra.controller.signal;
      if (aborted)
        return [
          formatError(typeof reason === 'string' ? streamEnded(reason as EndReason) : unauthenticated()),
        ];
      if (extra.operations.size > MAX_OPERATIONS)
        return [formatError(refuse('operations', extra, tooManyOperationsError()))];
      const resolved = isKnown(engine, query)
        ? resolveDocument(ports, extra, payload)
        : admitDocument(ports, extra, query).then(
            (refusals) => refusals ?? resolveDocument(ports, extra, payload),
          );
      const document = resolved instanceof Promise ? await resolved : resolved;
      if (!('kind' in document)) return document;
      clearRetained(payload, 'query');
      const operation = getOperationAST(document, operationName);
      if (operation == null) return [formatError(new GraphQLError('The document has no such operation.'))];
      if (operation.operation === 'subscription' && extra.operations.retainedBytes > MAX_RETAINED_BYTES)
        return [formatError(refuse('variables', extra, tooManyVariablesError()))];
      try {
        const open = () => createOperationContext(ports, extra, payload);
        // During an outage a subscription waits for the database; a query receives UNAVAILABLE.
        const context =
          operation.operation === 'subscription'
            ? retry(async () => open(), {
                isRetryable: (error) => codeOf(formatError(error)) === 'UNAVAILABLE',
                isWanted: () => !extra.controller.signal.aborted,
              })
            : open();
        const traceParent = deps.tracing && payload.extensions?.['traceparent'];
        const args: OperationArgs = {
          schema: engine.schema,
          document,
          operationName,
          operation: {
            document,
            operationName,
            variables,
            context: context instanceof Promise ? await context : context,
            origin: extra,
            operationId: id,
            traceParent: typeof traceParent === 'string' ? traceParent : undefined,
          },
        };
        return args;
      } catch (error) {
        return [formatError(error)];
      }
    },
    execute(args) {
      const { operation } = args as OperationArgs;
      const connection = operation.origin;
      const execute = () => engine.execute(operation).then(counted);
      const executeWhenRead = () => whenRead(connection)?.then(execute) ?? execute();
      return engine.isBatched(operation) ? executeWhenRead() : connection.executions.run(executeWhenRead);
    },
    async subscribe(args) {
      const { operation } = args as OperationArgs;
      const { origin: connection, operationId: id } = operation;
      const receiver = new FrameReceiver(connection, id);
      const subscription: Operation = {
        ...operation,
        receiver,
        semaphore: connection.resultsInFlight,
        retainedLength: connection.operations.markSubscription(id, receiver),
      };
      const opened = await openWhenAvailable(() => engine.subscribe(subscription), formatError);
      if (!(Symbol.asyncIterator in opened)) return counted(opened);
      connection.operations.setResults(id, opened);
      return opened;
    },
    onError({ extra }, id, _payload, errors) {
      extra.operations.markCompleted(id);
      const formatted = errors.map((error) => formatError(error));
      // The end of a stream has a metric of its own.
      countErrors(
        metrics,
        'graphql-ws',
        formatted.filter(({ extensions }) => extensions.reason === undefined),
      );
      return formatted.map((error) => error.toJSON());
    },
    onComplete({ extra }, id, payload) {
      extra.operations.markCompleted(id);
      closeOwnSession(extra, payload);
    },
  };
}

/**
 * Creates the context of an operation, with the session of the connection, or of the operation's own token, which
 * GraphiQL sends in `extensions.headers`. Throws UNAUTHENTICATED for a bad token.
 */
function createOperationContext(
  ports: Ports,
  connection: WebSocketConnection,
  payload: SubscribePayload,
): Context | Promise<Context> {
  const found = findTokenInOperation(payload.extensions);
  if (found?.isBlank === false) throw unauthenticated(found.problem);
  if (found?.token !== undefined) return createOwnContext(ports, connection, payload, found.token);
  return createContext({
    deps: ports.deps,
    session: connection.liveSession?.session ?? null,
    address: connection.address,
    tokenProblem: connection.tokenProblem ?? found?.problem,
    signal: connection.controller.signal,
    connection: new WatchedWebSocket(ports.silenceWatch, connection),
    budget: connection.budget,
    renewSession: async (token) => void (await renewSession(ports, connection, token)),
  });
}

/** Without `renewSession`: an operation with its own token must not replace the session of the connection. */
async function createOwnContext(
  ports: Ports,
  connection: WebSocketConnection,
  payload: SubscribePayload,
  token: string,
): Promise<Context> {
  const ownSession = await openOwnSession(ports, connection, payload, token);
  return createContext({
    deps: ports.deps,
    session: ownSession.session,
    address: connection.address,
    tokenProblem: connection.tokenProblem,
    signal: AbortSignal.any([connection.controller.signal, signalOf(ownSession)]),
    connection: new WatchedWebSocket(ports.silenceWatch, connection),
    budget: connection.budget,
  });
}

/** Charges for a document that is not cached. Returns formatted errors if it may not be parsed. */
async function admitDocument(
  { engine, formatError }: Ports,
  { address, id, liveSession }: WebSocketConnection,
  text: string,
) {
  try {
    await engine.admitDocument(text, payerOf(liveSession?.session ?? null, address, id));
  } catch (error) {
    return [formatError(error)];
  }
  return undefined;
}

/** Whether parsing the text costs nothing. It is empty where the request has an id or a hash instead. */
const isKnown = ({ isCached }: Engine, text: string): boolean => text === '' || isCached(text);

type Resolved = DocumentNode | readonly GraphQLError[];

/**
 * Returns the validated document, or formatted errors if it is rejected. Charges for the text of an id or a hash if it has to be
 * parsed again.
 */
function resolveDocument(
  ports: Ports,
  connection: WebSocketConnection,
  request: SubscribePayload,
): Resolved | Promise<Resolved> {
  const { engine, documentResolver, formatError } = ports;
  const parse = (text: string): Resolved => {
    const document = engine.parse(text);
    const errors = engine.validate(document);
    return errors.length === 0 ? document : errors;
  };
  try {
    const text = documentResolver.resolveText(request) ?? '';
    if (text === request.query || isKnown(engine, text)) return parse(text);
    return admitDocument(ports, connection, text).then((refusals) => refusals ?? parse(text));
  } catch (error) {
    if (error instanceof GraphQLError || error instanceof DomainError) return [formatError(error)];
    throw error;
  }
}

const tooManyOperationsError = (): DomainError => {
  const limit = `${MAX_OPERATIONS} operations at a time`;
  return new DomainError('LIMIT_EXCEEDED', `A connection may run ${limit}.`, { limit });
};

const tooManyVariablesError = (): DomainError => {
  const limit = `${MAX_RETAINED_BYTES} bytes of variables`;
  return new DomainError('LIMIT_EXCEEDED', `The subscriptions of a connection may have ${limit}.`, { limit });
};
