/** A client that `resumable` can wrap: of graphql-ws, of graphql-sse, or of the same shape. */
export interface SubscriptionClient {
  subscribe(payload: never, sink: never): () => void;
  iterate(payload: never): AsyncIterable<unknown>;
  dispose(): void | Promise<void>;
}

/** The operation as passed to `subscribe` or `iterate`. */
export interface OperationPayload {
  readonly query?: string | null | undefined;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | null | undefined;
}

/** A status change of a durable subscription. */
export interface SubscriptionState {
  readonly payload: OperationPayload;
  /** `live`: all events so far are delivered. `behind`: the connection is lost, or the buffer of `iterate` is full. */
  readonly status: 'live' | 'behind';
  /** The cursor of the newest event, after which the subscription resumes; null before the first. */
  readonly cursor: string | null;
}

/** The rejection of a durable subscription's cursor by the server. */
export interface ExpiredCursor {
  readonly payload: OperationPayload;
  readonly code: 'CURSOR_EXPIRED' | 'CURSOR_INVALID';
  /** The oldest cursor that is still valid. */
  readonly oldest?: string;
}

/** The cursor to resume after; without one, the subscription ends with the server's error. */
export type NewCursor = string | null | undefined | void;

export interface ResumableOptions {
  /** Called when a durable subscription changes between `live` and `behind`. */
  onState?(state: SubscriptionState): void;
  /**
   * Called when the cursor is no longer valid. Should query the data again and return its `eventCursor`, after which the
   * stream resumes. If it returns no cursor, the subscription ends with the server's error.
   */
  onExpired?(expired: ExpiredCursor): NewCursor | Promise<NewCursor>;
  /** Name of the cursor variable in persisted operations, which are sent without text. Default: `after`. */
  readonly cursorVariable?: string;
  /** Returns the milliseconds before a retry; `attempt` starts at 0. Default: 0.5 s, doubled per attempt up to 30 s, minus up to 50 % jitter. */
  retryDelay?(attempt: number): number;
  /** Overrides the default retry decision: `false` ends the subscription with the problem, `true` resumes it. */
  shouldRetry?(problem: unknown): boolean | undefined;
  /** Maximum bytes of results that `iterate` buffers for a slow reader before it pauses the stream. Default: 1 MiB. */
  readonly maxBufferedBytes?: number;
  /**
   * Milliseconds without a message after which a connection counts as lost; 0 disables the check. Default: 30 s over
   * WebSocket, with a ping after two thirds of it, and 120 s over Server-Sent Events.
   */
  readonly silenceTimeout?: number;
}

/** A session description, as RTCPeerConnection has it. */
export interface Description {
  readonly type: 'offer' | 'answer' | 'pranswer' | 'rollback';
  readonly sdp?: string;
}

/** A candidate as `RTCIceCandidate.toJSON()` returns it. */
export interface Candidate {
  readonly candidate?: string;
  readonly sdpMid?: string | null;
  readonly sdpMLineIndex?: number | null;
  readonly usernameFragment?: string | null;
}

/** The methods used of an RTCPeerConnection. */
export interface PeerConnection {
  readonly signalingState: string;
  readonly localDescription: Description | null;
  readonly remoteDescription: Description | null;
  setLocalDescription(): Promise<void>;
  setRemoteDescription(description: Description): Promise<void>;
  addIceCandidate(candidate: Candidate): Promise<void>;
  addEventListener(type: string, listener: (event: ConnectionEvent) => void): void;
  removeEventListener(type: string, listener: (event: ConnectionEvent) => void): void;
}

/** An event of an RTCPeerConnection; `icecandidate` has a candidate. */
export interface ConnectionEvent {
  readonly type: string;
  readonly candidate?: { toJSON(): Candidate } | null;
}

export interface CallOptions {
  /** A client of graphql-ws or graphql-sse. */
  readonly client: SubscriptionClient;
  /** The connection, with its local tracks. The app closes it. */
  readonly connection: PeerConnection;
  /** Global id of the other account: `User:8` or `Device:4`. */
  readonly accountId: string;
  /** Whether this client calls. Otherwise it waits for the other one, which then must call. */
  readonly calls: boolean;
  /**
   * Whether this client gives way when both send an offer at the same time. Never both. Default: the client whose participant id
   * is the smaller one; without these ids, the client that does not call.
   */
  readonly polite?: boolean;
  /** Global ids of the participants of this client and of the other one: needed if an account may have several devices in the call. */
  readonly participantId?: string | undefined;
  readonly otherParticipantId?: string | undefined;
  /** Called when the other client hangs up. */
  onHangUp?(): void;
  /**
   * Called with the error of a negotiation, of the subscription, or of a signal that was not sent: one with the `code`
   * and the `errors` of the response. Until the first description of the other client arrives, it may be unreachable:
   * it is called again.
   */
  onError?(error: unknown): void;
}

export interface CallHandle {
  /** Tells the other client that the call is over, and stops. */
  hangUp(): Promise<void>;
  /** Stops without a message. */
  stop(): void;
}
