/** The reaction to a problem that ended a subscription or its connection. */
export type Verdict =
  | { readonly type: 'retry'; readonly afterMs: number }
  | { readonly type: 'expired'; readonly code: 'CURSOR_EXPIRED' | 'CURSOR_INVALID'; readonly oldest?: string }
  | { readonly type: 'fatal' };

/** End reasons and codes after which the stream can resume, on another node or later (docs/errors.md). */
const TRANSIENT_REASONS: ReadonlySet<unknown> = new Set(['DRAINING', 'OPERATOR', 'SLOW']);
const TRANSIENT_CODES: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'RATE_LIMITED']);

/** WebSocket close codes that a retry would repeat: the request or its token is invalid. */
const FATAL_CLOSES: ReadonlySet<number> = new Set([
  1003, 1007, 1008, 1009, 1010, 4004, 4400, 4401, 4403, 4406, 4409, 4500,
]);

/** setTimeout fires immediately for delays above 2^31 - 1 ms. */
const MAX_WAIT_MS = 3_600_000;

/** HTTP statuses below 500 that are worth a retry. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 421, 425, 429]);

/** Structural, because an app may provide its own `fetch`. */
interface ResponseHeaders {
  get(name: string): string | null;
}

const isHeaders = (value: unknown): value is ResponseHeaders =>
  isObject(value) && typeof value['get'] === 'function';

const RETRY: Verdict = { type: 'retry', afterMs: 0 };
const FATAL: Verdict = { type: 'fatal' };

/** Classifies GraphQL errors, WebSocket close events, HTTP responses and network errors. */
export function classify(problem: unknown): Verdict {
  if (!isObject(problem)) return FATAL;
  if (Array.isArray(problem)) return classifyErrors(problem);
  if (isObject(problem['extensions'])) return classifyErrors([problem]);
  if (isObject(problem['response'])) return classifyResponse(problem['response']);
  if (typeof problem['code'] === 'number' && 'reason' in problem)
    return FATAL_CLOSES.has(problem['code']) ? FATAL : RETRY;
  return RETRY;
}

function classifyErrors(errors: readonly unknown[]): Verdict {
  for (const error of errors) {
    const extensions = isObject(error) && isObject(error['extensions']) ? error['extensions'] : {};
    const { code, reason, oldest, retryAfterMs } = extensions;
    if (code === 'CURSOR_EXPIRED' || code === 'CURSOR_INVALID')
      return { type: 'expired', code, ...(typeof oldest === 'string' && { oldest }) };
    if (TRANSIENT_REASONS.has(reason) || (reason === undefined && TRANSIENT_CODES.has(code)))
      return retryAfter(typeof retryAfterMs === 'number' ? retryAfterMs : 0);
  }
  return FATAL;
}

function classifyResponse(response: Readonly<Record<string, unknown>>): Verdict {
  const { status, headers } = response;
  if (typeof status !== 'number' || status < 400) return RETRY;
  if (status < 500 && !TRANSIENT_STATUSES.has(status)) return FATAL;
  return retryAfter(isHeaders(headers) ? retryAfterOf(headers) : 0);
}

const retryAfter = (ms: number): Verdict => ({
  type: 'retry',
  afterMs: ms > 0 ? Math.min(ms, MAX_WAIT_MS) : 0,
});

/** Returns the `Retry-After` header, in seconds or a date, as milliseconds from now. */
function retryAfterOf(headers: ResponseHeaders): number {
  const text = headers.get('retry-after') ?? '';
  return /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
