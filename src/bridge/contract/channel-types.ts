import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { ErrorCode } from '../../errors.ts';
import type { Topic } from '../../events/event.ts';
import type { ConversationId } from '../../ids.ts';
import type { Frame } from './encoders.ts';
import type { Payload } from './payload.ts';
import type { EMITTED, FIELD_TYPES } from './schemas.ts';

/** One listened channel. The documents of the channels are made from the rows of `channels.ts`. */
export interface Channel {
  readonly name: string;
  readonly about: string;
  readonly fields: readonly Field[];
  /** What becomes of all other fields; null when nothing does. */
  readonly others: string | null;
  /** What a client might send. */
  readonly example: Payload;
  /** The text for a client that has not authenticated; null when it need not. Checked first. */
  readonly anonymous: string | null;
  /** The text for a payload without a required field. Checked second, by presence alone. */
  readonly missing: string | null;
  readonly refusals: readonly Refusal[];
  /** What the client itself gets when all goes well, in order. */
  readonly answers: readonly Answer[];
  readonly notes: readonly string[];
  run(request: Request): Promise<Reply>;
}

export interface Field {
  readonly name: string;
  readonly type: keyof typeof FIELD_TYPES;
  readonly required: boolean;
  readonly about: string;
}

/** What a client gets: a frame of one shape or, when no shape is named, what the room of the channel hears. */
export type Answer = {
  [Name in keyof typeof EMITTED]: {
    readonly channel: Name;
    readonly shape?: keyof (typeof EMITTED)[Name];
    /** When or as long as it is not always so. */
    readonly when?: string;
  };
}[keyof typeof EMITTED];

/** Why a channel answers on `error`, and with which text. */
export interface Refusal {
  readonly when: string;
  readonly text: string;
  /** The codes of operations for which this text stands. */
  readonly codes: readonly ErrorCode[];
}

/** One event of a client: those that its channel needs are present. */
export interface Request {
  readonly payload: Payload;
  readonly caller: Caller;
}

/** What the client is told, in order. */
export interface Reply {
  readonly frames: readonly Frame[];
  /** What it is told after that, read while it is told. */
  readonly missed?: AsyncIterable<Frame>;
}

/** A place of a client that was away in what it has heard. */
export interface ReplayFrom {
  readonly afterMessageId: number;
}

/** What a client that may read a topic is told of it, all of one moment. */
export interface Permission {
  readonly cursor: string;
  /** In a conversation, the newest message; undefined when there is none. */
  readonly newestMessageId?: number | undefined;
}

/** What a channel can do for the client that sent an event. */
export interface Caller {
  /** Runs an operation with the client's rights. Throws a DomainError with the code of its first error. */
  run<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  /** Makes the client the token's account. Throws UNAUTHENTICATED, and leaves the client what it was. */
  authenticate(token: unknown): Promise<void>;
  /**
   * Lets the client into the topic's room. `ask` answers how far its permission knows the topic, or nothing when there
   * is none. Throws NOT_FOUND, also for one who lost the permission while it was asked for.
   * Given a place, answers what the client has missed since; throws CURSOR_EXPIRED when that is not kept any more.
   */
  join(
    topic: Topic,
    ask: () => Promise<Permission | null>,
    place?: ReplayFrom,
  ): Promise<AsyncIterable<Frame> | undefined>;
  leave(topic: Topic): void;
  /** Whether there is such a conversation, whoever takes part in it. */
  conversationExists(id: ConversationId): Promise<boolean>;
}

/** A refusal in the contract's own words, for the `error` channel. */
export class LegacyError extends Error {
  override readonly name = 'LegacyError';
}
