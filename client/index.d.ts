// Generated from src/client by scripts/print-client-types.ts.
/** What `resumable` wraps: a client of graphql-ws, a client of graphql-sse, or anything with their shape. */
export interface SubscriptionClient {
    subscribe(payload: never, sink: never): () => void;
    iterate(payload: never): AsyncIterable<unknown>;
    dispose(): void | Promise<void>;
}
/** The operation as the app gave it to `subscribe` or `iterate`. */
export interface OperationPayload {
    readonly query?: string | null | undefined;
    readonly operationName?: string | null | undefined;
    readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
    readonly extensions?: Readonly<Record<string, unknown>> | null | undefined;
}
/** A change of one durable subscription. */
export interface SubscriptionState {
    readonly payload: OperationPayload;
    /** `live`: everything up to now was delivered. `behind`: the connection is lost, or a buffer is full. */
    readonly status: 'live' | 'behind';
    /** The cursor of the newest event, which a resume starts after; null before the first. */
    readonly cursor: string | null;
}
/** Why the server refuses the cursor of a durable subscription. */
export interface ExpiredCursor {
    readonly payload: OperationPayload;
    readonly code: 'CURSOR_EXPIRED' | 'CURSOR_INVALID';
    /** The oldest cursor that the log still reaches back to. */
    readonly oldest?: string;
}
export type NewCursor = string | null | undefined | void;
export interface ResumableOptions {
    /** Receives each change between live and behind, per durable subscription. */
    onState?(state: SubscriptionState): void;
    /**
     * Queries the data again and returns its new `eventCursor`: the stream goes on after it. Without a cursor the
     * subscription ends with the error of the server.
     */
    onExpired?(expired: ExpiredCursor): NewCursor | Promise<NewCursor>;
    /** The name of the variable that holds the cursor in operations sent without text. Default: `after`. */
    readonly cursorVariable?: string;
    /** Milliseconds before attempt number `attempt` (from 0). Default: 0.5 s doubled per attempt up to 30 s, minus a random part of up to a half. */
    retryDelay?(attempt: number): number;
    /** Overrules what is tried again: `false` ends the subscription with the problem, `true` resumes it. */
    shouldRetry?(problem: unknown): boolean | undefined;
    /** Bytes of results that `iterate` buffers for a slow reader before it pauses the stream. Default: 1 MiB. */
    readonly maxBufferedBytes?: number;
    /**
     * Milliseconds of silence after which a connection counts as lost. Default: 30 s over WebSocket, where a ping is
     * sent before, and 120 s over Server-Sent Events, where the stream is resumed. 0 turns it off.
     */
    readonly silenceTimeout?: number;
}
/**
 * Wraps a client of graphql-ws or graphql-sse and returns one with the same methods, whose durable subscriptions
 * (those with a variable of the type `Cursor`) resume after the newest event whenever their connection ends: the app
 * gets each event once, and `StreamLive` once. Subscriptions without a cursor come back too; queries and mutations
 * pass unchanged. The wrapped client is disposed with it.
 */
export declare function resumable<Client extends SubscriptionClient>(client: Client, options?: ResumableOptions): Client;
