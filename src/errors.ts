/**
 * All error codes, with the HTTP status of a response that is only this error, and the WebSocket close code if it ends
 * a connection. Documented in docs/errors.md.
 */
export const ERROR_CODES = {
  UNAUTHENTICATED: { http: 401, close: 4401 },
  FORBIDDEN: { http: 403, close: 4403 },
  NOT_FOUND: { http: 404 },
  INVALID_INPUT: { http: 400, close: 4400 },
  CONFLICT: { http: 409 },
  CURSOR_EXPIRED: { http: 410 },
  CURSOR_INVALID: { http: 400 },
  UNREACHABLE: { http: 409 },
  LIMIT_EXCEEDED: { http: 400, close: 4400 },
  UNAVAILABLE: { http: 503, close: 1013 },
  INTERNAL: { http: 500, close: 4500 },
  RATE_LIMITED: { http: 429, close: 4429 },
  // Several clients of automatic persisted queries look for these two only in responses with status 200.
  PERSISTED_QUERY_NOT_FOUND: { http: 200 },
  PERSISTED_QUERY_NOT_SUPPORTED: { http: 200 },
  PERSISTED_QUERY_NOT_IN_LIST: { http: 400 },
} as const satisfies Record<string, { http: number; close?: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** All reasons why the server ends a stream or a connection. Documented in docs/errors.md. */
export const END_REASONS = [
  'LEFT',
  'KICKED',
  'DELETED',
  'ACCESS_REMOVED',
  'LOGGED_OUT',
  'TOKEN_EXPIRED',
  'ACCOUNT_DELETED',
  'SLOW',
  'DRAINING',
  'OPERATOR',
] as const;

export type EndReason = (typeof END_REASONS)[number];

/**
 * Whether a connection that ends for this reason first ends its streams with an error. Otherwise it is only closed:
 * client libraries treat an error as the end of a subscription, but resubscribe after a close.
 */
export const endsStreams = (reason: EndReason): boolean => !CLOSES_ONLY.has(reason);

const CLOSES_ONLY: ReadonlySet<EndReason> = new Set(['SLOW', 'DRAINING', 'OPERATOR']);

/** Why a connection ended: one of these reasons, or closed by the client, timed out, or violated the protocol. */
export type ConnectionEnd = EndReason | 'CLIENT' | 'SILENT' | 'PROTOCOL';

/** Details sent to the client beside the code. */
export interface ErrorDetails {
  readonly field?: string;
  readonly limit?: string;
  readonly oldest?: string;
  readonly retryAfterMs?: number;
  readonly reason?: EndReason;
}

/**
 * An error of normal operation, such as a refusal. It has no stack trace: anyone can cause any number of them, and collecting
 * a trace takes longer than the rest of a refusal.
 */
export class ExpectedError extends Error {
  constructor(message: string) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Runs the work. The errors that it creates have no stack trace. */
export function withoutStackTraces<Result>(work: () => Result): Result {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** An error whose code and message are sent to the client. Any other error is a bug or an outage, and is masked. */
export class DomainError extends ExpectedError {
  override readonly name = 'DomainError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export const unauthenticated = (message = 'You must be logged in to do this.'): DomainError =>
  new DomainError('UNAUTHENTICATED', message);

export const forbidden = (message: string): DomainError => new DomainError('FORBIDDEN', message);

export const notFound = (what: string): DomainError => new DomainError('NOT_FOUND', `${what} was not found.`);

export const invalidInput = (field: string, message: string): DomainError =>
  new DomainError('INVALID_INPUT', message, { field });

export const conflict = (message: string): DomainError => new DomainError('CONFLICT', message);

const STREAM_END_CODES: Record<EndReason, ErrorCode> = {
  LEFT: 'FORBIDDEN',
  KICKED: 'FORBIDDEN',
  DELETED: 'NOT_FOUND',
  ACCESS_REMOVED: 'FORBIDDEN',
  LOGGED_OUT: 'UNAUTHENTICATED',
  TOKEN_EXPIRED: 'UNAUTHENTICATED',
  ACCOUNT_DELETED: 'UNAUTHENTICATED',
  SLOW: 'LIMIT_EXCEEDED',
  DRAINING: 'UNAVAILABLE',
  OPERATOR: 'UNAVAILABLE',
};

/** Creates the error with which the server ends a stream. */
export function streamEnded(reason: EndReason): DomainError {
  return new DomainError(STREAM_END_CODES[reason], `The server ended the stream: ${reason}.`, {
    reason,
  });
}

/** SQLSTATE classes of connection, resource, shutdown and system errors, sessions ended by a time-out; and codes of Node. */
const UNAVAILABLE_CODES =
  /^(08|53|57P|58)...?$|^25P0[34]$|^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOSPC|EDQUOT|EROFS)$/;
/** Errors of pg 8 and pg-pool 3 that have no code. */
const UNAVAILABLE_MESSAGES =
  /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error/i;

const LOCK_TIMEOUT_CODE = '55P03';
const CANCELLED_CODE = '57014';
/** SQLSTATE class 40, transaction rollback: deadlocks and serialisation failures; time-outs of a lock and of a statement. */
const RETRYABLE_CODES = /^40...$|^55P03$|^57014$/;

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : '';

/**
 * Whether an error means that the database, the network or the disk is unavailable. A statement in flight may have
 * been executed.
 */
export const isUnavailable = (error: unknown): error is Error =>
  error instanceof Error &&
  (UNAVAILABLE_CODES.test(codeOf(error)) || UNAVAILABLE_MESSAGES.test(error.message));

/**
 * The connection was lost during a commit: a repetition might execute it twice. Has the code that SQL defines for this.
 */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
  readonly code = '08007';

  constructor(cause: unknown) {
    super('The database did not confirm the commit.', { cause });
  }
}

/** Whether a lock was not free in time. Nothing has been changed. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof Error && codeOf(error) === LOCK_TIMEOUT_CODE;

/** Whether a statement was cancelled, as by its time-out. Its transaction has changed nothing. */
export const isCancelled = (error: unknown): boolean =>
  error instanceof Error && codeOf(error) === CANCELLED_CODE;

/** Whether an error is temporary: something is unavailable, or the database rolled back a conflicting transaction. */
export const isOutage = (error: unknown): error is Error =>
  isUnavailable(error) || (error instanceof Error && RETRYABLE_CODES.test(codeOf(error)));
