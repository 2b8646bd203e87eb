import type { IncomingMessage, ServerResponse } from 'node:http';
import { createProxyCheck } from '../client-address.ts';

/** Adds directives of a page to a content security policy that otherwise allows nothing. */
export const contentSecurityPolicy = (directives: readonly string[]): string =>
  [
    "default-src 'none'",
    ...directives,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

/** Headers of every response, errors included. Handlers override those that differ for their content. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': contentSecurityPolicy([]),
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** One year, as for the preload lists of browsers. Subdomains are not ours to decide about. */
const STRICT_TRANSPORT_SECURITY = 'max-age=31536000';

/** Returns the headers that every response has, those to malformed requests included. */
export type SecurityHeadersOf = (request?: IncomingMessage) => Readonly<Record<string, string>>;

/** Creates the function that returns the security headers, with HSTS for requests that reached a trusted proxy by TLS. */
export function createSecurityHeaders(trustedProxies: readonly string[]): SecurityHeadersOf {
  const isTrusted = createProxyCheck(trustedProxies);
  const withHsts = { ...SECURITY_HEADERS, 'strict-transport-security': STRICT_TRANSPORT_SECURITY };
  return (request) => {
    if (request === undefined) return SECURITY_HEADERS;
    const { headers, socket } = request;
    // The gateway itself serves no TLS.
    const isSecure =
      headers['x-forwarded-proto'] !== undefined &&
      isTrusted(socket.remoteAddress ?? '') &&
      /^\s*(https|wss)\b/i.test(String(headers['x-forwarded-proto']));
    return isSecure ? withHsts : SECURITY_HEADERS;
  };
}

export function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** Returns the name or address in a `Host` header, in lower case, without port, brackets and final dot. */
export const hostnameOf = (host: string): string =>
  new URL(`http://${host}`).hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
