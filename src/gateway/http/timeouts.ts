/** Added to KEEP_ALIVE_MS, so that a client that reuses a connection just before the timeout finds it open. */
export const KEEP_ALIVE_BUFFER_MS = 1_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** At this limit, 1 MB takes 34 KB/s. */
const BODY_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 600_000;
const STALL_TIMEOUT_MS = 120_000;
/** Slowest upload that must be able to finish, 16 KB/s: a phone with a weak signal. */
const MIN_UPLOAD_BYTES_PER_MS = 16;

export interface HttpTimeouts {
  /** Idle time between two requests. */
  readonly keepAliveMs: number;
  /** Time for the headers of a request, and idle time of a new connection before its first request. */
  readonly headersMs: number;
  /** Time for the body of a request to arrive, unless it is an upload. */
  readonly bodyMs: number;
  /** Time for a whole request to arrive. */
  readonly requestMs: number;
  /** Time without a byte in either direction while a request is in flight. */
  readonly stalledMs: number;
}

/**
 * Derives the timeouts from the keep-alive timeout and the largest upload. Each is long enough for the others: the
 * request timeout for the slowest upload and its headers, the stall timeout for the headers.
 */
export function timeoutsFor(keepAliveMs: number, maxUploadBytes: number): HttpTimeouts {
  // Load balancers open connections in advance; Node applies the headers timeout to them until their first request.
  const headersMs = Math.max(HEADERS_TIMEOUT_MS, keepAliveMs + 2 * KEEP_ALIVE_BUFFER_MS);
  return {
    keepAliveMs,
    headersMs,
    bodyMs: BODY_TIMEOUT_MS,
    requestMs: Math.max(REQUEST_TIMEOUT_MS, headersMs, maxUploadBytes / MIN_UPLOAD_BYTES_PER_MS),
    stalledMs: Math.max(STALL_TIMEOUT_MS, headersMs),
  };
}
