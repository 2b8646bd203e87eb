import type { IncomingMessage } from 'node:http';
import type { Config } from '../config.ts';
import type { ConnectionEnd, EndReason } from '../errors.ts';
import type { EventStream, StreamRequest } from '../events/stream.ts';
import type { Tails } from '../events/tail.ts';
import type { Executor } from '../gateway/execution/executor.ts';
import type { ConversationId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { ActorRef, Session } from '../actor.ts';

/** Keeps an actor online while it lives, and orders its connections: the newest has the greatest. */
export interface LegacyLease {
  readonly leaseId: number;
  close(): Promise<void>;
}

/** Without a token it is a bad one, or a blank: what a client sends while no one is logged in. */
interface HandshakeToken {
  readonly token?: string;
  readonly isBlank?: boolean;
}

/** What the bridge stands on, handed over by `app.ts`. */
export interface BridgeDeps {
  readonly config: Pick<Config, 'LEGACY_FORWARD_CHANNELS'>;
  readonly log: Logger;
  readonly metrics: BridgeMetrics;
  readonly tails: Tails;
  /** Names the database, in the cursors that operations answer. */
  readonly epoch: string;
  readonly executor: Executor;
  readonly presence: {
    open(kind: 'legacy', actor: ActorRef): Promise<LegacyLease>;
    /** The lease of the actor's newest legacy connection on any node. */
    newestLegacyLease(actor: ActorRef): Promise<number | null>;
  };
  /** Throws UNAUTHENTICATED unless the token is valid. */
  authenticate(token: string): Promise<Session>;
  /** Finds the token that a client sent as it connected, in its handshake request or in `auth`, which protocol 5 brought. */
  findToken(request: IncomingMessage, auth: unknown): HandshakeToken | undefined;
  /** Calls back once, when logout, expiry or deletion of the account end the session. Answers how to stop. */
  followSession(session: Session, onEnd: (reason: EndReason) => void): Promise<() => void>;
  /** Whether there is such a conversation, whoever takes part: the contract tells what does not exist from what is not the caller's. */
  conversationExists(id: ConversationId): Promise<boolean>;
  /** Reads a topic's log from a cursor. */
  openStream(request: StreamRequest): Promise<EventStream>;
  /** Which accounts use which channels, counted by day. */
  readonly uses: Uses;
  /** Whether a request from this page, or from no page, may be served. */
  originAllowed(request: IncomingMessage): boolean;
  /** Other bounds than the usual ones. */
  readonly limits?: Partial<BridgeLimits>;
}

/** What kind of client, in the words of a metric. */
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
  readonly connectionEnds: { inc(labels: { transport: 'socket.io'; reason: ConnectionEnd }): void };
}

/** Where uses of channels are counted, by day and account. */
export interface Uses {
  /** For how many days a use is known. */
  readonly keptDays: number;
  note(use: {
    readonly channel: string;
    readonly protocol: number;
    readonly library: string;
    readonly account: ActorRef | undefined;
  }): void;
  /** What was used in so many days, today included. */
  read(days: number): Promise<UsageSummary>;
}

/** What was used since a day, by how many accounts. */
export interface UsageSummary {
  readonly since: string;
  readonly until: string;
  /** The first day of which anything is known; null before any. */
  readonly knownSince: string | null;
  readonly channels: readonly (Summary & { readonly channel: string })[];
  readonly clients: readonly (Summary & { readonly protocol: number; readonly library: string })[];
}

interface Summary {
  readonly accounts: number;
  readonly accountsOfProtocol3: number;
  readonly accountsOfProtocol4: number;
  readonly uses: number;
  readonly lastDay: string;
}

/** What one legacy client may cost. Beyond a bound its connection is cut off. */
export interface BridgeLimits {
  /** Received and not yet begun. */
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** How long after the connect an event may wait for `authenticate`. */
  readonly holdMs: number;
  /** Waiting for `authenticate`. */
  readonly heldEvents: number;
  readonly heldBytes: number;
  /** Said to it and not yet taken. */
  readonly waitingPackets: number;
  readonly waitingBytes: number;
  /** After this long an event counts as failed and the next one begins. */
  readonly eventMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Largest single payload. */
  readonly payloadBytes: number;
  /** In one payload of a client that polls. */
  readonly payloadPackets: number;
}

export const DEFAULT_LIMITS: BridgeLimits = {
  queuedEvents: 10_000,
  queuedBytes: 16 * 1024 * 1024,
  holdMs: 1_000,
  heldEvents: 2_000,
  heldBytes: 4 * 1024 * 1024,
  waitingPackets: 2_000,
  waitingBytes: 4 * 1024 * 1024,
  eventMs: 30_000,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 60_000,
  payloadBytes: 5 * 1024 * 1024,
  payloadPackets: 10_000,
};
