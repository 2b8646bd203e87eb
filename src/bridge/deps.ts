import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Config } from '../config.ts';
import type { ConnectionEnd, EndReason, ErrorCode } from '../errors.ts';
import type { Epoch } from '../events/cursor.ts';
import type { EventStream, StreamRequest } from '../events/stream.ts';
import type { Tails } from '../events/tail.ts';
import type { Executor } from '../gateway/execution/executor.ts';
import type { ConversationId } from '../ids.ts';
import type { ByteLedgers } from '../lib/byte-ledger.ts';
import type { SilenceWatch, WatchableConnection } from '../lib/silence-watch.ts';
import type { TurnClock } from '../lib/turn-clock.ts';
import type { TurnEnd } from '../lib/turn-end.ts';
import type { Logger } from '../log.ts';
import type { ChannelUsage } from '../services/channel-usage.ts';
import type { ActorRef, Payer, Session } from '../actor.ts';
import type { Tracing } from '../tracing.ts';
import type { SignalTarget } from './contract/operations.generated.ts';
import type { ConnectionLimits } from './connection-limits.ts';

/** A lease that keeps an actor online until it is closed. An actor's newest connection has the greatest `leaseId`. */
export interface LegacyLease {
  readonly leaseId: number;
  close(): Promise<void>;
}

/** The token that a client sends in its handshake. */
interface HandshakeToken {
  /** Undefined if it is malformed or blank. */
  readonly token?: string;
  /** Clients send a blank token while no one is logged in. */
  readonly isBlank?: boolean;
}

export type UsageLog = Pick<ChannelUsage, 'retentionDays' | 'record' | 'read'>;

/** The budgets that events are charged to. */
export interface EventBudgets {
  /** Charges the points. Resolves when they are available; throws RATE_LIMITED if that takes too long. */
  charge(payer: Payer, points: number): Promise<void> | undefined;
  /** Charges points for work that is already done. */
  chargeAfterwards(payer: Payer, points: number): void;
  /** Throws RATE_LIMITED while the budget of an anonymous connection itself is exhausted. */
  requireConnectionBudget(payer: Payer): void;
  /** Waits for the `retryAfterMs` of a refusal, at most 1 s, so that a client that ignores it is slowed down. */
  pause(ms: number | undefined): Promise<void>;
}

/** Keeps an account in a call until it is released. */
export interface CallHold {
  readonly participantId: number;
  release(reason: ConnectionEnd): void;
}

/** A payload that a client forwards to another account. */
export interface ForwardedSignal {
  readonly to: SignalTarget;
  readonly content: unknown;
  /** Whether the account has received it. */
  readonly isDelivered: boolean;
}

/** The dependencies of the bridge, passed in by `app.ts`. */
export interface BridgeDeps {
  readonly config: Pick<Config, 'LEGACY_FORWARD_CHANNELS'> & Partial<Pick<Config, 'NODE_NAME'>>;
  /** Returns the address of the client that sent the request. */
  addressOf(request: IncomingMessage): string;
  /** Returns a new id of a connection, unique in the cluster. */
  nextConnectionId(kind: 'sio'): string;
  readonly turnClock: TurnClock;
  readonly turnEnd: TurnEnd;
  readonly ledgers: ByteLedgers;
  /** Reports a client that a limit has refused. */
  reportRefusal(limit: 'sessions', client: { readonly address: string }): void;
  readonly log: Logger;
  readonly metrics: BridgeMetrics;
  /** Without it, events are not traced. */
  readonly tracing?: Tracing | undefined;
  readonly tails: Tails;
  /** Identifies the database in cursors. */
  readonly epoch: Readonly<Epoch>;
  readonly executor: Executor;
  readonly budgets: EventBudgets;
  readonly presence: {
    open(kind: 'legacy', actor: ActorRef): Promise<LegacyLease>;
    /** Returns the lease of the actor's newest legacy connection on any node. */
    newestLegacyLease(actor: ActorRef): Promise<number | null>;
  };
  /**
   * Records that a client joins or leaves a call by a payload that it forwards. Returns what keeps it in the call that it has
   * joined, until the connection is silent.
   */
  recordCallSignal(
    actor: ActorRef,
    signal: ForwardedSignal,
    connection: WatchableConnection,
  ): Promise<CallHold | undefined>;
  readonly silenceWatch: SilenceWatch;
  /** Throws UNAUTHENTICATED unless the token is valid. */
  authenticate(token: string, address: string): Promise<Session>;
  /** Marks a TCP connection as that of an account. */
  identifyConnection(socket: Duplex, account: ActorRef): void;
  /** Finds the token of a handshake: in its request, or in the `auth` of a CONNECT packet (Socket.IO protocol 5). */
  findToken(request: IncomingMessage, auth: unknown): HandshakeToken | undefined;
  /** Calls `onEnd` once when logout, expiry or account deletion ends the session. Returns an unsubscribe function. */
  followSession(session: Session, onEnd: (reason: EndReason) => void): Promise<() => void>;
  /** Whether the conversation exists, whatever the caller's access: legacy clients receive another text if it does. */
  conversationExists(id: ConversationId): Promise<boolean>;
  /** Reads a topic's log from a cursor. */
  openStream(request: StreamRequest): Promise<EventStream>;
  /** Counts channel usage by day and account. */
  readonly usage: UsageLog;
  /** Whether the `Origin` of the request is allowed; true without one. */
  isOriginAllowed(request: IncomingMessage): boolean;
  /** Overrides of `DEFAULT_LIMITS`. */
  readonly limits?: Partial<ConnectionLimits>;
}

/** The labels of a client kind in metrics. */
export interface ClientLabels {
  readonly protocol: string;
  readonly library: string;
}

export interface BridgeMetrics {
  readonly connections: {
    inc(labels: { transport: 'socket.io' }): void;
    dec(labels: { transport: 'socket.io' }): void;
  };
  readonly legacyConnections: { inc(labels: ClientLabels): void };
  readonly legacyEvents: { inc(labels: ClientLabels & { channel: string }): void };
  readonly legacyFrames: { inc(labels: { channel: string }, count: number): void };
  readonly legacyEventDuration: {
    observe(labels: { channel: string; outcome: 'ok' | 'error' }, seconds: number): void;
  };
  readonly errors: { inc(labels: { transport: 'socket.io'; code: ErrorCode }): void };
  readonly connectionEnds: { inc(labels: { transport: 'socket.io'; reason: ConnectionEnd }): void };
}
