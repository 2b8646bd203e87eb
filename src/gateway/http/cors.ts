import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseOrigin } from '../../config-parsers.ts';

export interface Cors {
  /** Whether a request from its `Origin` may be served; true without one, as native apps send none. */
  isAllowed(request: IncomingMessage): boolean;
  /** Whether a request is from no browser, from our own page, or from a page of a listed origin. */
  isTrusted(request: IncomingMessage): boolean;
  /** Sets the CORS headers of a response, and of a preflight those for the methods. */
  setHeaders(request: IncomingMessage, response: ServerResponse, methods: readonly string[]): void;
}

const PREFLIGHT_SECONDS = '600';
const DEFAULT_HEADERS = 'authorization, content-type';

/** In addition to the CORS-safelisted response headers. */
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
 * Creates the CORS policy. Allows the listed origins, in the form of `parseOrigin`, and our own pages; without a list, or
 * with `*` in it, any origin, but without credentials.
 */
export function createCors(origins: readonly string[] | undefined): Cors {
  const allowed = origins === undefined || origins.includes('*') ? undefined : new Set(origins);
  const isAllowed = ({ headers }: IncomingMessage): boolean => {
    if (allowed === undefined || headers.origin === undefined || headers.origin === '') return true;
    const origin = parseOrigin(headers.origin);
    return origin !== undefined && (allowed.has(origin) || isSameHost(origin, headers.host));
  };
  return {
    isAllowed,
    isTrusted(request) {
      const { host, origin, 'sec-fetch-site': site } = request.headers;
      if (allowed !== undefined) return isAllowed(request);
      if (origin !== undefined && origin !== '') return isSameHost(parseOrigin(origin) ?? '', host);
      return site === undefined || site === 'same-origin' || site === 'none';
    },
    setHeaders(request, response, methods) {
      const { headers, method } = request;
      // Also without `Origin`: otherwise a cache could serve this response, without CORS headers, to a page.
      response.appendHeader('vary', 'Origin');
      if (headers.origin === undefined || headers.origin === '' || !isAllowed(request)) return;
      response.setHeader('access-control-allow-origin', headers.origin);
      if (allowed !== undefined) response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
      if (method !== 'OPTIONS') return;
      response.appendHeader('vary', 'Access-Control-Request-Headers');
      response.setHeader('access-control-allow-methods', [...methods, 'OPTIONS'].join(', '));
      const requested = headers['access-control-request-headers'];
      response.setHeader('access-control-allow-headers', requested ?? DEFAULT_HEADERS);
      response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    },
  };
}

/** Whether the page has the same host as the request. Some native libraries send a `ws:` URL as their origin. */
function isSameHost(origin: string, host: string | undefined): boolean {
  const page = origin.replace(/^ws(s?):/, 'http$1:');
  const [scheme = ''] = page.split('//', 1);
  return host !== undefined && /^https?:$/.test(scheme) && parseOrigin(`${scheme}//${host}`) === page;
}
