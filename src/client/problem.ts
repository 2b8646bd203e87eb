/** What to do about a problem that ended a subscription or its connection. */
export type Verdict =
  | { readonly type: 'retry'; readonly afterMs: number }
  | { readonly type: 'expired'; readonly code: 'CURSOR_EXPIRED' | 'CURSOR_INVALID'; readonly oldest?: string }
  | { readonly type: 'fatal' };

/** Ends after which the stream goes on elsewhere or later, and codes of the same kind (docs/errors.md). */
const PASSING_REASONS: ReadonlySet<unknown> = new Set(['DRAINING', 'OPERATOR', 'SLOW']);
const PASSING_CODES: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'RATE_LIMITED']);

/** Closes of a WebSocket that would come again: what the client sends is wrong, or who sends it. */
const FATAL_CLOSES: ReadonlySet<number> = new Set([
  1003, 1007, 1008, 1009, 1010, 4004, 4400, 4401, 4403, 4406, 4409, 4500,
]);

/** Asked for more, a timer would fire at once. */
const MAX_WAIT_MS = 3_600_000;

/** HTTP statuses below 500 that may pass. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 421, 425, 429]);

/** By shape: an app may bring a `fetch` of its own. */
interface ResponseHeaders {
  get(name: string): string | null;
}

const isHeaders = (value: unknown): value is ResponseHeaders =>
  isObject(value) && typeof value['get'] === 'function';

const RETRY: Verdict = { type: 'retry', afterMs: 0 };
const FATAL: Verdict = { type: 'fatal' };

/** Reads errors of the server, close events, responses and errors of the network alike. */
export function judge(problem: unknown): Verdict {
  if (!isObject(problem)) return FATAL;
  if (Array.isArray(problem)) return judgeErrors(problem);
  if (isObject(problem['extensions'])) return judgeErrors([problem]);
  if (isObject(problem['response'])) return judgeResponse(problem['response']);
  if (typeof problem['code'] === 'number' && 'reason' in problem)
    return FATAL_CLOSES.has(problem['code']) ? FATAL : RETRY;
  return RETRY;
}

function judgeErrors(errors: readonly unknown[]): Verdict {
  for (const error of errors) {
    const extensions = isObject(error) && isObject(error['extensions']) ? error['extensions'] : {};
    const { code, reason, oldest, retryAfterMs } = extensions;
    if (code === 'CURSOR_EXPIRED' || code === 'CURSOR_INVALID')
      return { type: 'expired', code, ...(typeof oldest === 'string' && { oldest }) };
    if (PASSING_REASONS.has(reason) || (reason === undefined && PASSING_CODES.has(code)))
      return retryAfter(typeof retryAfterMs === 'number' ? retryAfterMs : 0);
  }
  return FATAL;
}

function judgeResponse(response: Readonly<Record<string, unknown>>): Verdict {
  const { status, headers } = response;
  if (typeof status !== 'number' || status < 400) return RETRY;
  if (status < 500 && !PASSING_STATUSES.has(status)) return FATAL;
  return retryAfter(isHeaders(headers) ? retryAfterOf(headers) : 0);
}

const retryAfter = (ms: number): Verdict => ({
  type: 'retry',
  afterMs: ms > 0 ? Math.min(ms, MAX_WAIT_MS) : 0,
});

/** The milliseconds that `Retry-After` asks for, which is in seconds or a date. */
function retryAfterOf(headers: ResponseHeaders): number {
  const text = headers.get('retry-after') ?? '';
  return /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
