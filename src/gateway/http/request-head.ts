import type { IncomingMessage } from 'node:http';
import { parse } from 'content-type';

/** A request target as sent to proxies, with scheme and authority (RFC 9112, section 3.2.2). */
const ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)([^]*)$/i;
const ESCAPED = /%([0-9a-f]{2})/gi;
/** Characters that are equivalent to their percent-encoding (RFC 3986, section 2.3). */
const UNRESERVED = /[\w.~-]/;

/** Returns the path of a request without the query, which may hold tokens. */
export const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0] ?? '/';

/** Returns the parameters of the query. */
export function queryOf({ url = '/' }: IncomingMessage): URLSearchParams {
  const start = url.indexOf('?');
  return new URLSearchParams(start < 0 ? '' : url.slice(start + 1));
}

/** Returns the path that a request has once its head is normalised. */
export function normalizedPathOf({ url = '/' }: IncomingMessage): string {
  const [, , rest] = ABSOLUTE_FORM.exec(url) ?? [];
  return normalizeTarget((rest ?? url).split('?', 1)[0] ?? '/');
}

/**
 * Normalises the target, `Host` and `Content-Type` of a request in place, as the router, Yoga and Engine.IO compare them as
 * text. Returns false when the host is malformed, or missing although HTTP/1.1 requires it.
 */
export function normalizeHead(request: IncomingMessage): boolean {
  const { headers } = request;
  const [, authority, rest] = ABSOLUTE_FORM.exec(request.url ?? '/') ?? [];
  request.url = normalizeTarget(rest ?? request.url ?? '/');
  // The authority of an absolute target overrides the `Host` header.
  const host = authority ?? headers.host;
  if (headers.host === undefined && request.httpVersion === '1.1') return false;
  if (host === undefined || host === '') delete headers.host;
  else if (isHost(host)) headers.host = host;
  else return false;
  const type = headers['content-type'];
  if (type !== undefined) headers['content-type'] = normalizeType(type);
  return true;
}

/** Removes dot segments, repeated and trailing slashes, and needless escapes. The query is unchanged. */
function normalizeTarget(target: string): string {
  if (target === '*') return target;
  const [bare = ''] = target.split('#', 1);
  const queryIndex = bare.indexOf('?');
  const path = queryIndex < 0 ? bare : bare.slice(0, queryIndex);
  const unescaped = path.replaceAll(ESCAPED, (escaped, hex: string) => {
    const character = String.fromCharCode(parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : escaped;
  });
  // With the leading slash, `//host` is not parsed as an authority.
  const { pathname } = new URL(`/${unescaped}`.replaceAll(/[/\\]+/g, '/'), 'http://localhost');
  return (pathname.replace(/\/+$/, '') || '/') + (queryIndex < 0 ? '' : bare.slice(queryIndex));
}

function isHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { pathname, search, hash, username, password } = new URL(`http://${host}`);
  return pathname === '/' && `${search}${hash}${username}${password}` === '' && !/[/?#@\\]/.test(host);
}

/** Returns the header with the type in lower case. Parameters are unchanged, as boundaries are case-sensitive. */
function normalizeType(header: string): string {
  // Some clients send a comma-separated list.
  const { type, index } = parse(header, { parameters: false, comma: true });
  return type + (header[index] === ',' ? '' : header.slice(index));
}

/** Returns the media type of the body, in lower case and without parameters. */
export const mediaTypeOf = ({ headers }: Pick<IncomingMessage, 'headers'>): string =>
  parse(headers['content-type'] ?? '', { parameters: false }).type;

/** Returns the codings of a compressed body; undefined for an uncompressed one. */
export function encodingOf({ headers }: IncomingMessage): string | undefined {
  const codings = `${headers['content-encoding'] ?? ''},${headers['transfer-encoding'] ?? ''}`
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity' && coding !== 'chunked');
  return codings.length === 0 ? undefined : codings.join(', ');
}

/** Whether a list header, such as `Upgrade`, contains a value. Case-insensitive. */
export const headerIncludes = (header: string | undefined, value: string): boolean =>
  header?.split(',').some((item) => item.trim().toLowerCase() === value) === true;
