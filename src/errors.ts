/**
 * The closed list of error codes, with each code's face at the edges: the HTTP status of an answer that consists
 * of it alone, and the WebSocket close code when it ends a whole connection. Explained in docs/errors.md.
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
  LIMIT_EXCEEDED: { http: 400 },
  UNAVAILABLE: { http: 503, close: 1013 },
  INTERNAL: { http: 500, close: 4500 },
  RATE_LIMITED: { http: 429, close: 4429 },
  // Clients of the automatic protocol look for these two, and several of them only in an answer with status 200.
  PERSISTED_QUERY_NOT_FOUND: { http: 200 },
  PERSISTED_QUERY_NOT_SUPPORTED: { http: 200 },
  PERSISTED_QUERY_NOT_IN_LIST: { http: 400 },
} as const satisfies Record<string, { http: number; close?: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Why the server ended a stream or a connection: the closed list of docs/errors.md. */
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
 * Whether the end of a connection for this reason also ends its streams. For the others the connection is closed and
 * its streams get no error: to every client library an error is the end of a subscription, a close is not, and so the
 * library's own retry brings the streams back.
 */
export const endsStreams = (reason: EndReason): boolean => !CLOSES_ONLY.has(reason);

const CLOSES_ONLY: ReadonlySet<EndReason> = new Set(['SLOW', 'DRAINING', 'OPERATOR']);

/**
 * Why a whole connection is over: for one of those reasons, or because its client closed it, was not heard of for too
 * long, or broke the protocol.
 */
export type ConnectionEnd = EndReason | 'CLIENT' | 'SILENT' | 'PROTOCOL';

/** What a client sees beside the code: the field at fault, the limit, the oldest cursor, and so on. */
export interface ErrorDetails {
  readonly field?: string;
  readonly limit?: string;
  readonly oldest?: string;
  readonly retryAfterMs?: number;
  readonly reason?: EndReason;
}

/** A refusal that the caller is meant to see. Everything else that is thrown is a bug or an outage and is masked. */
export class DomainError extends Error {
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

/** The error with which the server ends a stream for the given reason. */
export function streamEnded(reason: EndReason): DomainError {
  return new DomainError(STREAM_END_CODES[reason], `The stream was ended by the server: ${reason}.`, {
    reason,
  });
}

const AWAY_CODES =
  /^(08|53|57P|58)...?$|^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOSPC|EDQUOT|EROFS)$/;
const AWAY_MESSAGES =
  /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error/i;

const GIVEN_UP_CODES = /^40...$/;

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : '';

/**
 * Whether an error says that the database, the network or the disk is away, as PostgreSQL (SQLSTATE) and Node name it.
 * What was under way may have been done.
 */
export const isUnavailable = (error: unknown): error is Error =>
  error instanceof Error && (AWAY_CODES.test(codeOf(error)) || AWAY_MESSAGES.test(error.message));

/** The same, or that the database gave a transaction up for another one's sake: the same request may succeed later. */
export const isOutage = (error: unknown): error is Error =>
  isUnavailable(error) || (error instanceof Error && GIVEN_UP_CODES.test(codeOf(error)));
