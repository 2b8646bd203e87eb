import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { LiveSession } from '../../domain/sessions.ts';
import { DomainError, endsStreams, unauthenticated } from '../../errors.ts';
import type { ConnectionEnd, EndReason } from '../../errors.ts';
import { createBufferBudget } from '../../lib/buffer-budget.ts';
import type { BufferBudget } from '../../lib/buffer-budget.ts';
import { createSemaphore } from '../../lib/semaphore.ts';
import type { Semaphore } from '../../lib/semaphore.ts';
import type { FoundToken } from '../bearer-token.ts';
import type { Ports } from '../ports.ts';
import { createOperations } from './operation-ids.ts';
import type { Operations } from './operation-ids.ts';
import type { Session } from '../../actor.ts';

const LAST_FRAMES_MS = 1_000;
const AT_ONCE = 16;

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

/** The payload of an operation's `subscribe` frame: its id may be in use again before this operation has ended. */
export type OperationKey = object;

/** What this server knows of one GraphQL WebSocket. */
export interface Connection {
  readonly socket: WebSocket;
  /** What the WebSocket writes its frames to. */
  readonly stream: Duplex;
  /** Aborted with the reason when the server ends the streams of the connection and then the connection. */
  readonly controller: AbortController;
  readonly operations: Operations;
  /** Sessions of operations that brought a token of their own, once there was one. */
  ownSessions: Map<OperationKey, LiveSession> | undefined;
  /** Of what its streams let wait. */
  readonly budget: BufferBudget;
  /** Of its queries and mutations: a client that sends many at once keeps nobody waiting but itself. */
  readonly turns: Semaphore;
  /** Of results of its streams: what is on its way to a client that does not read is no more than this. */
  readonly resultTurns: Semaphore;
  /** Why it is over, if the server knows before it closes. */
  end: ConnectionEnd | undefined;
  /** Why the server is closing it. */
  closing: EndReason | undefined;
  /** The session of the whole connection; undefined while it is anonymous. */
  live: LiveSession | undefined;
  /** The token of the upgrade request, until `connection_init` brings another one or none. */
  upgradeToken: FoundToken | undefined;
  /** Why the value that an anonymous client sent as its token is none. */
  refusal: string | undefined;
}

/** Makes the connection of a socket; what the socket receives is handed to the protocol by `handle`. */
export function createConnection(
  socket: WebSocket,
  stream: Duplex,
  handle: (text: string) => Promise<void>,
): Connection {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const connection: Connection = {
    socket,
    stream,
    controller,
    operations: createOperations(handle, () => closeWhenSettled(connection)),
    ownSessions: undefined,
    budget: createBufferBudget(),
    turns: createSemaphore(AT_ONCE),
    resultTurns: createSemaphore(AT_ONCE),
    end: undefined,
    closing: undefined,
    live: undefined,
    upgradeToken: undefined,
    refusal: undefined,
  };
  return connection;
}

/** Logs the connection in, and answers whether the token was accepted. */
export async function logIn(ports: Ports, connection: Connection, token: string): Promise<boolean> {
  try {
    useSession(connection, await ports.openSession(token));
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED') return false;
    throw error;
  }
  freeIfGone(connection);
  return true;
}

/**
 * Lets the connection go on with another token of its account, and what runs on it too. Throws UNAUTHENTICATED for a
 * bad token and on an anonymous connection, FORBIDDEN for a token of another account: the session stays as it was then.
 */
export async function renewSession(ports: Ports, connection: Connection, token: string): Promise<Session> {
  if (connection.live === undefined) throw unauthenticated('The connection has no session that could go on.');
  const renewed = await ports.renewSession(connection.live.session, token);
  connection.live.close();
  useSession(connection, renewed);
  freeIfGone(connection);
  return renewed.session;
}

function useSession(connection: Connection, live: LiveSession): void {
  connection.live = live;
  live.onEnd((reason) => endConnection(connection, reason));
}

/** Opens a session for one operation. Throws UNAUTHENTICATED. */
export async function openOwnSession(
  ports: Ports,
  connection: Connection,
  key: OperationKey,
  token: string,
): Promise<LiveSession> {
  const live = await ports.openSession(token);
  connection.ownSessions ??= new Map();
  connection.ownSessions.set(key, live);
  freeIfGone(connection);
  return live;
}

/** Gives back the session of an operation that has ended. */
export function closeOwnSession({ ownSessions }: Connection, key: OperationKey): void {
  ownSessions?.get(key)?.close();
  ownSessions?.delete(key);
}

/** Gives back what the connection holds, and ends what runs on it. */
export function freeConnection({ controller, live, ownSessions }: Connection): void {
  controller.abort();
  live?.close();
  for (const session of ownSessions?.values() ?? []) session.close();
  ownSessions?.clear();
}

/** The client may have gone while a session was opened for it: its close found nothing to free yet. */
function freeIfGone(connection: Connection): void {
  if (connection.socket.readyState !== WebSocket.OPEN) freeConnection(connection);
}

/**
 * Closes the connection once its queries and mutations are answered. Its streams first send why they end, if the reason
 * ends them; otherwise they send nothing, so that the client's own retry resumes them. A client that does not read is
 * closed after `LAST_FRAMES_MS`.
 */
export function endConnection(connection: Connection, reason: EndReason): void {
  if (connection.closing !== undefined) return;
  connection.closing = reason;
  connection.end = reason;
  if (endsStreams(reason)) connection.controller.abort(reason);
  closeWhenSettled(connection);
  setTimeout(() => closeSocket(connection, reason), LAST_FRAMES_MS).unref();
}

function closeWhenSettled(connection: Connection): void {
  const { closing, operations } = connection;
  if (closing === undefined) return;
  const pending = endsStreams(closing) ? operations.size : operations.awaited;
  if (pending === 0) closeSocket(connection, closing);
}

function closeSocket({ socket }: Connection, reason: EndReason): void {
  // A connection that its client has closed was ended for no reason of ours.
  if (socket.readyState === WebSocket.OPEN) socket.close(CLOSE_CODES[reason], reason);
}
