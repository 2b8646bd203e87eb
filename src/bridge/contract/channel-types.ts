import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { ExpectedError } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Topic } from '../../events/event.ts';
import type { ConversationId } from '../../ids.ts';
import type { ForwardedSignal } from '../deps.ts';
import type { Frame } from './encoders.ts';
import type { Payload } from './payload.ts';
import type { EMITTED, FIELD_TYPES } from './frame-schemas.ts';

/** A channel that legacy clients send. docs/legacy-channels.md is generated from the rows of `channels.ts`. */
export interface Channel {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly Field[];
  /** How fields that are not listed are used; null if they are ignored. */
  readonly otherFields: string | null;
  /** A sample payload. */
  readonly example: Payload;
  /** The `error` for a client that has not authenticated; null if it need not. Checked first. */
  readonly unauthenticatedError: string | null;
  /** The `error` for a payload without a required field. Checked second, by presence only. */
  readonly missingFieldError: string | null;
  readonly errors: readonly ChannelError[];
  /** Frames that the client receives on success, in order. */
  readonly replies: readonly ReplyShape[];
  readonly notes: readonly string[];
  run(request: Request): Promise<Reply>;
}

export interface Field {
  readonly name: string;
  readonly type: keyof typeof FIELD_TYPES;
  readonly required: boolean;
  readonly description: string;
}

/** A frame with one shape or, without a shape, any frame that the channel's room receives. */
export type ReplyShape = {
  [Name in keyof typeof EMITTED]: {
    readonly channel: Name;
    readonly shape?: keyof (typeof EMITTED)[Name];
    /** The condition under which it is sent, if it is not always. */
    readonly when?: string;
  };
}[keyof typeof EMITTED];

/** A condition under which a channel replies on `error`, and the text of that reply. */
export interface ChannelError {
  readonly when: string;
  readonly text: string;
  /** Error codes of operations that map to this text. */
  readonly codes: readonly ErrorCode[];
}

/** An event of a client. The required fields of its channel are present. */
export interface Request {
  readonly payload: Payload;
  readonly caller: Caller;
}

export interface Reply {
  /** Sent to the client, in order. */
  readonly frames: readonly Frame[];
  /** Sent after `frames`, while it is read from the log. */
  readonly replay?: AsyncIterable<Frame>;
}

/** The last message that a reconnecting client has received. */
export interface ReplayFrom {
  readonly afterMessageId: number;
}

/** Read permission, with the cursor and newest message id from the same snapshot. */
export interface ReadAccess {
  readonly cursor: string;
  /** In a conversation, the newest message; undefined if there is none. */
  readonly newestMessageId?: number | undefined;
}

/** The operations that a channel may run for the client that sent an event. */
export interface Caller {
  /** Runs an operation with the client's permissions. Throws a DomainError with the code of its first error. */
  run<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  /** Records that the client joins or leaves a call by a payload that it forwards. Never throws. */
  recordCallSignal(signal: ForwardedSignal): Promise<void>;
  /** Logs the client in to the token's account. Throws UNAUTHENTICATED, which leaves its current login unchanged. */
  authenticate(token: unknown): Promise<void>;
  /**
   * Adds the client to the topic's room. `readAccess` returns null without permission. Throws NOT_FOUND without
   * permission, including one that is lost during the join. With `replayFrom`, returns the frames that the client has
   * missed since; throws CURSOR_EXPIRED if the log has been trimmed beyond that message.
   */
  join(
    topic: Topic,
    readAccess: () => Promise<ReadAccess | null>,
    replayFrom?: ReplayFrom,
  ): Promise<AsyncIterable<Frame> | undefined>;
  leave(topic: Topic): void;
  /** Whether the conversation exists, whatever the client's access. */
  conversationExists(id: ConversationId): Promise<boolean>;
}

/** An error with the exact text for the `error` channel. */
export class LegacyError extends ExpectedError {
  override readonly name = 'LegacyError';
  readonly code: ErrorCode;

  constructor(text: string, code: ErrorCode = 'INVALID_INPUT') {
    super(text);
    this.code = code;
  }
}
