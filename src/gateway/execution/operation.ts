import type { DocumentNode } from 'graphql';
import type { ConnectionEnd } from '../../errors.ts';
import type { Semaphore } from '../../lib/semaphore.ts';
import type { Context } from '../../schema/context.ts';
import type { Receiver } from './fan-out-group.ts';

/** An operation to run. Its document was parsed and validated by this engine, or belongs to the bridge. */
export interface Operation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: Context;
  /** Undefined for operations of the bridge. */
  readonly origin?: OperationOrigin | undefined;
  /** The id of the legacy connection, for an operation of the bridge. */
  readonly legacyConnection?: string | undefined;
  /** The id that the client gave it, or the `X-Request-Id` of its request. */
  readonly operationId?: string | undefined;
  /** The span that caused it, as the client sent it in the W3C header `traceparent`. */
  readonly traceParent?: unknown;
  /** Receives results that are encoded once for a whole group, bypassing the returned stream. */
  readonly receiver?: Receiver | undefined;
  /** Bounds the results in flight: held from a result's execution until the next result is requested. */
  readonly semaphore?: Semaphore | undefined;
  /** Characters of the request that a subscription retains. Default: those of its variables. */
  readonly retainedLength?: number | undefined;
  /** Called when a subscription is accepted, before `stream opened` is logged. */
  readonly onAccepted?: (() => void) | undefined;
}

/** The connection that an operation arrived on. */
export interface OperationOrigin {
  readonly transport: 'graphql-ws' | 'sse' | 'http';
  /** Unique in the cluster. */
  readonly id: string;
  /** The client's address, as `AddressOf` returns it. */
  readonly address: string;
  /** The reason why the connection ends; undefined while it is open. */
  readonly endReason: ConnectionEnd | undefined;
}
