import type { ActorKey } from './actor.ts';
import type { ConnectionEnd } from './errors.ts';

/** The transports of connections that last, as log lines and metrics name them. */
export type ConnectionTransport = 'graphql-ws' | 'sse' | 'socket.io';

/** The number of connections of a transport that ended for a reason, since the node started. */
export interface EndCount {
  readonly transport: ConnectionTransport;
  readonly reason: ConnectionEnd;
  readonly count: number;
}

/** A subscription of a connection, or a room that a Socket.IO client has joined. */
export interface LiveSubscription {
  /** Identifies it in its connection: the id that its client gave it, `1` over SSE, the topic of a room. */
  readonly id: string;
  /** Undefined while it opens. */
  readonly topic: string | undefined;
  /** Type and name of its operation, for example `subscription Chat`; undefined for a room. */
  readonly operation: string | undefined;
  /**
   * Committed events of the topic that it has not been handed yet. Undefined if nothing is kept for it: for ephemeral items,
   * and for rooms, whose frames are in the queue of their connection.
   */
  readonly behind: number | undefined;
}

/** An open connection, as operators see it. Everything is computed when it is read: an idle connection costs nothing. */
export interface LiveConnection {
  /** Unique in the cluster. Log lines name it. */
  readonly id: string;
  readonly transport: ConnectionTransport;
  /** For example `graphql-transport-ws`, or `Engine.IO 3, polling`. */
  readonly protocol: string;
  /** The library of a Socket.IO client; the user agent of others. Undefined if the client sent none. */
  readonly client: string | undefined;
  readonly address: string;
  /** Undefined while it is anonymous. */
  readonly account: ActorKey | undefined;
  /** In milliseconds since 1970. */
  readonly openedAt: number;
  /** Bytes that wait for the client: in its socket, and in the buffers of its subscriptions. */
  readonly waitingBytes: number;
  /** Events that the subscription furthest behind has not been handed; frames that a Socket.IO client has not been sent. */
  readonly behind: number;
  subscriptions(): Iterable<LiveSubscription>;
  /** Whether it has a session of the account: its own, or that of an operation. */
  isOf(account: ActorKey): boolean;
  /** Closes it with the reason OPERATOR, so that its client connects again. */
  end(): void;
  /**
   * Ends a subscription with the reason OPERATOR; returns false if there is none with this id. Undefined if the client could
   * not be told, and would miss events unnoticed.
   */
  endSubscription(id: string): boolean | undefined;
}

/** Returns the connections that a transport has open on this node, oldest first. */
export type ListConnections = () => Iterable<LiveConnection>;
