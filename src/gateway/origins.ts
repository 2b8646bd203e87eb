import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Origins {
  /** Whether a request from a page of this origin may be served. Native apps send none. */
  allowed(request: IncomingMessage): boolean;
  /** Adds the CORS headers that let the page read the answer. */
  allow(request: IncomingMessage, response: ServerResponse): void;
}

const PREFLIGHT_SECONDS = '600';

/** Who may call from a browser: the listed origins and our own pages; without a list, any. */
export function createOrigins(list: readonly string[] | undefined): Origins {
  const listed = list === undefined ? undefined : new Set(list);
  return {
    allowed({ headers }) {
      if (listed === undefined || headers.origin === undefined) return true;
      return listed.has(headers.origin) || headers.origin.replace(/^https?:\/\//, '') === headers.host;
    },
    allow({ headers, method }, response) {
      if (headers.origin === undefined) return;
      response.setHeader('access-control-allow-origin', headers.origin);
      response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('vary', 'origin');
      response.setHeader('access-control-expose-headers', 'content-range, content-disposition');
      if (method !== 'OPTIONS') return;
      response.setHeader('access-control-allow-methods', 'GET, POST, HEAD, OPTIONS');
      response.setHeader(
        'access-control-allow-headers',
        headers['access-control-request-headers'] ?? 'authorization, content-type',
      );
      response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    },
  };
}
