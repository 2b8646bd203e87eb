import { expect } from 'vitest';
import { END_REASONS, ERROR_CODES } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import type { GraphqlError } from '../../src/testing/index.ts';

/** The codes that no input may cause: a bug, or an outage. */
const FORBIDDEN_CODES: ReadonlySet<string> = new Set<ErrorCode>(['INTERNAL', 'UNAVAILABLE']);

/** Expects that each error has a documented code, and none shows how the server is written. */
export function expectDocumented(errors: readonly GraphqlError[] = [], input = ''): void {
  for (const error of errors) {
    const { code, reason, retryAfterMs } = error.extensions ?? {};
    const isDocumented = typeof code === 'string' && code in ERROR_CODES && !FORBIDDEN_CODES.has(code);
    expect(isDocumented, `${JSON.stringify(error)} for ${input}`).toBe(true);
    if (code === 'RATE_LIMITED') expect(retryAfterMs, error.message).toBeGreaterThan(0);
    if (reason !== undefined) expect(END_REASONS).toContain(reason);
    expect(error.message).not.toMatch(/\bat .*\.ts:\d|node_modules|select |insert into/);
  }
}

const STATUSES: ReadonlySet<number> = new Set([
  200,
  ...Object.values(ERROR_CODES).map(({ http }) => http),
  // Of requests that are rejected before a GraphQL request is parsed (docs/errors.md).
  405,
  406,
  413,
  415,
]);

/** Expects a documented status, and documented errors in the body. */
export async function expectDocumentedResponse(response: Response): Promise<string> {
  const text = await response.text();
  expect(STATUSES.has(response.status) && response.status < 500, `${response.status} ${text}`).toBe(true);
  if (response.headers.get('content-type')?.includes('json') === true && text !== '') {
    const body = JSON.parse(text) as { errors?: readonly GraphqlError[]; code?: string };
    expectDocumented(body.errors);
    if (body.code !== undefined) expect(ERROR_CODES).toHaveProperty(body.code);
  }
  return text;
}
