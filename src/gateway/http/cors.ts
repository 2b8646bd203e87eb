import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseOrigin } from '../../config.ts';

export interface Cors {
  /** Whether a request from a page of this origin may be served. Native apps send none. */
  allowed(request: IncomingMessage): boolean;
  /** Adds the CORS headers that let a page of an allowed origin use the methods and read the response. */
  allow(request: IncomingMessage, response: ServerResponse, methods: readonly string[]): void;
}

const PREFLIGHT_SECONDS = '600';
const USUAL_HEADERS = 'authorization, content-type';

/** Beside those that every page may read. */
const EXPOSED_HEADERS = [
  'accept-encoding',
  'accept-ranges',
  'allow',
  'content-disposition',
  'content-range',
  'etag',
  'retry-after',
  'www-authenticate',
].join(', ');

/**
 * Allows the listed origins and our own pages; without a list, or with `*` in it, any origin, but then without
 * credentials. The list has the form of `parseOrigin`.
 */
export function createCors(list: readonly string[] | undefined): Cors {
  const listed = list === undefined || list.includes('*') ? undefined : new Set(list);
  const allowed = ({ headers }: IncomingMessage): boolean => {
    if (listed === undefined || headers.origin === undefined || headers.origin === '') return true;
    const origin = parseOrigin(headers.origin);
    return origin !== undefined && (listed.has(origin) || isOwn(origin, headers.host));
  };
  return {
    allowed,
    allow(request, response, methods) {
      const { headers, method } = request;
      // Also without one: what a cache keeps must not be served to an origin that it does not name.
      response.setHeader('vary', 'Origin');
      if (headers.origin === undefined || headers.origin === '' || !allowed(request)) return;
      response.setHeader('access-control-allow-origin', headers.origin);
      if (listed !== undefined) response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
      if (method !== 'OPTIONS') return;
      response.setHeader('vary', 'Origin, Access-Control-Request-Headers');
      response.setHeader('access-control-allow-methods', [...methods, 'OPTIONS'].join(', '));
      const requested = headers['access-control-request-headers'];
      response.setHeader('access-control-allow-headers', requested ?? USUAL_HEADERS);
      response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    },
  };
}

/** Whether a page is of the host that it calls. Some libraries of native apps send the address of the WebSocket. */
function isOwn(origin: string, host: string | undefined): boolean {
  const page = origin.replace(/^ws(s?):/, 'http$1:');
  const [scheme = ''] = page.split('//', 1);
  return host !== undefined && /^https?:$/.test(scheme) && parseOrigin(`${scheme}//${host}`) === page;
}
