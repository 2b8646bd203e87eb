import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { accountKey } from '../../actor.ts';
import type { ActorKey, Session } from '../../actor.ts';
import type { LiveSession } from '../../domain/sessions.ts';
import { DomainError, endsStreams, unauthenticated } from '../../errors.ts';
import type { ConnectionEnd, EndReason } from '../../errors.ts';
import { BufferBudget } from '../../lib/buffer-budget.ts';
import { Semaphore } from '../../lib/semaphore.ts';
import type { ByteLedgers, Direction, Holder, LedgerEntry } from '../../lib/byte-ledger.ts';
import type { Priority } from '../../lib/turn-clock.ts';
import type { TurnEnd } from '../../lib/turn-end.ts';
import type { FoundToken } from '../bearer-token.ts';
import { CONNECTION_CLOSED } from '../connection-closed.ts';
import type { OperationOrigin } from '../execution/operation.ts';
import type { Ports } from '../ports.ts';
import type { KeepAliveTimes } from './keep-alive.ts';
import { OperationTracker } from './operation-ids.ts';
import { SocketReader } from './socket-reader.ts';

/** Time for the last frames of a connection that the server ends, before it is closed regardless. */
const LAST_FRAMES_TIMEOUT_MS = 1_000;
/** Time for the queries and mutations of a connection that the node closes to move its client. */
const IN_FLIGHT_TIMEOUT_MS = 2_000;
const MAX_CONCURRENT_OPERATIONS = 16;

/** WebSocket close codes by end reason. */
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

/** The payload object of a `subscribe` frame. Not its id: a client may reuse the id before the operation has ended. */
export type OperationKey = object;

/** The state of one GraphQL WebSocket. */
export interface WebSocketConnection extends OperationOrigin, KeepAliveTimes {
  readonly transport: 'graphql-ws';
  readonly socket: WebSocket;
  /** The TCP stream under the WebSocket. */
  readonly stream: Duplex;
  readonly userAgent: string | undefined;
  readonly reader: SocketReader;
  readonly ledgers: ByteLedgers;
  readonly turnEnd: TurnEnd;
  /** Its entries in the ledgers; none until it holds many bytes. */
  heldBytes: Readonly<Partial<Record<Direction, LedgerEntry>>>;
  readonly openedAt: number;
  /** Aborted, with the reason, when the server ends the streams of the connection; without one when it is closed. */
  readonly controller: AbortController;
  readonly operations: OperationTracker;
  /** Operations started since the connection was opened. */
  operationCount: number;
  /** Start of the newest operation, or of the connection. */
  activeAt: number;
  /** Sessions of operations with their own token; undefined until there is one. */
  ownSessions: Map<OperationKey, LiveSession> | undefined;
  /** Bounds the events buffered for its streams. */
  readonly budget: BufferBudget;
  /** Bounds the concurrent queries and mutations, other than sends, so that one client cannot occupy the database. */
  readonly executions: Semaphore;
  /** Bounds the stream results that the client has not taken yet. */
  readonly resultsInFlight: Semaphore;
  endReason: ConnectionEnd | undefined;
  /** The reason why the server closes it; undefined while it is open, or closed by the client. */
  closeReason: EndReason | undefined;
  /** The session of the connection; undefined while it is anonymous. */
  liveSession: LiveSession | undefined;
  /** The token in the upgrade request, until `connection_init` is received. */
  upgradeToken: FoundToken | undefined;
  /** The reason why the token of an anonymous client was rejected. */
  tokenProblem: string | undefined;
}

const NO_ENTRIES = {};

export const priorityOf = ({ liveSession }: WebSocketConnection): Priority =>
  liveSession === undefined ? 'anonymous' : 'account';

/** The account as which its work takes turns; undefined while it is anonymous. */
export const flowOf = ({ liveSession }: WebSocketConnection): ActorKey | undefined =>
  accountKey(liveSession?.session.actor);

export const holderOf = ({ liveSession, address }: WebSocketConnection): Holder => ({
  account: liveSession?.session.actor,
  address,
});

type ConnectionOptions = Pick<
  WebSocketConnection,
  'id' | 'address' | 'userAgent' | 'socket' | 'stream' | 'ledgers' | 'turnEnd'
>;

/** Creates the state of a connection. `handle` passes a received frame to graphql-ws. */
export function createConnection(
  { id, address, userAgent, socket, stream, ledgers, turnEnd }: ConnectionOptions,
  handle: (frame: object | string) => Promise<void>,
): WebSocketConnection {
  const now = performance.now();
  const controller = new AbortController();
  // Each operation listens; the default limit would print a warning.
  setMaxListeners(0, controller.signal);
  const connection: WebSocketConnection = {
    id,
    address,
    transport: 'graphql-ws',
    socket,
    stream,
    userAgent,
    reader: new SocketReader(socket),
    ledgers,
    turnEnd,
    heldBytes: NO_ENTRIES,
    openedAt: now,
    receivedAt: now,
    pingedAt: now,
    controller,
    operations: new OperationTracker(handle, () => closeWhenSettled(connection)),
    operationCount: 0,
    activeAt: now,
    ownSessions: undefined,
    budget: new BufferBudget(undefined, ledgers.buffered),
    executions: new Semaphore(MAX_CONCURRENT_OPERATIONS),
    resultsInFlight: new Semaphore(MAX_CONCURRENT_OPERATIONS),
    endReason: undefined,
    closeReason: undefined,
    liveSession: undefined,
    upgradeToken: undefined,
    tokenProblem: undefined,
  };
  return connection;
}

/** Opens the session of the connection. Returns false if the token was not accepted. */
export async function logIn(ports: Ports, connection: WebSocketConnection, token: string): Promise<boolean> {
  try {
    const liveSession = await ports.openSession(token, connection.address);
    setSession(connection, liveSession);
    ports.connectionSlots.identify(connection.stream, liveSession.session.actor);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED') return false;
    throw error;
  }
  releaseIfClosed(connection);
  return true;
}

/**
 * Replaces the session of the connection by one of a new token of the same account; its operations continue. Throws
 * UNAUTHENTICATED for a bad token and on an anonymous connection, FORBIDDEN for a token of another account; then the
 * session is unchanged.
 */
export async function renewSession(
  ports: Ports,
  connection: WebSocketConnection,
  token: string,
): Promise<Session> {
  if (connection.liveSession === undefined)
    throw unauthenticated('The connection has no session to renew. Log in with `connection_init`.');
  const { session } = connection.liveSession;
  const renewedSession = await ports.renewSession(session, token, connection.address);
  connection.liveSession.close();
  setSession(connection, renewedSession);
  releaseIfClosed(connection);
  return renewedSession.session;
}

function setSession(connection: WebSocketConnection, liveSession: LiveSession): void {
  connection.liveSession = liveSession;
  liveSession.onEnd((reason) => endConnection(connection, reason));
}

/** Opens a session for one operation. Throws UNAUTHENTICATED. */
export async function openOwnSession(
  ports: Ports,
  connection: WebSocketConnection,
  key: OperationKey,
  token: string,
): Promise<LiveSession> {
  const liveSession = await ports.openSession(token, connection.address);
  connection.ownSessions ??= new Map();
  connection.ownSessions.set(key, liveSession);
  releaseIfClosed(connection);
  return liveSession;
}

/** Closes the session of an operation that has ended, if it had its own. */
export function closeOwnSession({ ownSessions }: WebSocketConnection, key: OperationKey): void {
  ownSessions?.get(key)?.close();
  ownSessions?.delete(key);
}

/** Aborts the operations of a closed connection and closes its sessions. */
export function releaseConnection({ controller, liveSession, ownSessions }: WebSocketConnection): void {
  controller.abort(CONNECTION_CLOSED);
  liveSession?.close();
  for (const session of ownSessions?.values() ?? []) session.close();
  ownSessions?.clear();
}

/** The socket may have closed while a session was opened: then `releaseConnection` had no session to close. */
function releaseIfClosed(connection: WebSocketConnection): void {
  if (connection.socket.readyState !== WebSocket.OPEN) releaseConnection(connection);
}

/**
 * Closes the connection once its queries and mutations have their results. If the reason ends streams, they send it first;
 * otherwise they send nothing, so that the client's own retry resumes them. It is closed after a timeout in any case.
 * A reason that ends streams replaces one that does not: a session may end while its client is being moved.
 */
export function endConnection(connection: WebSocketConnection, reason: EndReason): void {
  const { closeReason } = connection;
  if (closeReason !== undefined && (endsStreams(closeReason) || !endsStreams(reason))) return;
  connection.closeReason = reason;
  connection.endReason = reason;
  if (endsStreams(reason)) connection.controller.abort(reason);
  // A revocation is over when this returns: what was sent before it leaves before it.
  connection.stream.uncork();
  closeWhenSettled(connection);
  const isMoved = reason === 'DRAINING' || reason === 'OPERATOR';
  const timeoutMs = isMoved ? IN_FLIGHT_TIMEOUT_MS : LAST_FRAMES_TIMEOUT_MS;
  setTimeout(() => closeSocket(connection, connection.closeReason ?? reason), timeoutMs).unref();
}

/**
 * Closes the connection without waiting for its client, which frees what it holds. Delivers nothing more, as it may be called
 * during a delivery.
 */
export function closeNow(connection: WebSocketConnection, reason: EndReason): void {
  const { socket, stream } = connection;
  connection.endReason ??= reason;
  if (socket.readyState === WebSocket.OPEN) socket.close(CLOSE_CODES[reason], reason);
  stream.uncork();
  // After the close frame, if the client reads at all.
  setImmediate(() => socket.terminate());
}

function closeWhenSettled(connection: WebSocketConnection): void {
  const { closeReason, operations } = connection;
  if (closeReason === undefined) return;
  const pending = endsStreams(closeReason) ? operations.size : operations.unsettledCount;
  if (pending === 0) closeSocket(connection, closeReason);
}

function closeSocket(connection: WebSocketConnection, reason: EndReason): void {
  // A client that is already closing keeps its own close code.
  if (connection.socket.readyState === WebSocket.OPEN) closeWithCode(connection, CLOSE_CODES[reason], reason);
}

/** Closes the connection after what was sent to it in this turn. */
export function closeWithCode(
  { socket, stream, operations, turnEnd }: WebSocketConnection,
  code: number | undefined,
  reason: string | undefined,
): void {
  if (turnEnd.isAwaited) operations.deliver();
  socket.close(code, reason);
  stream.uncork();
}
