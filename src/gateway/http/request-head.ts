import type { IncomingMessage } from 'node:http';
import { parse } from 'content-type';

/** As HTTP proxies send a target (RFC 9112, section 3.2.2): with the scheme and the authority. */
const ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)([^]*)$/i;
const ESCAPED = /%([0-9a-f]{2})/gi;
/** Means the same escaped and bare (RFC 3986, section 2.3). */
const UNRESERVED = /[\w.~-]/;

/** The path of a request, without its query, which may hold secrets. */
export const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0] ?? '/';

/**
 * Rewrites what a request says in more than one way into the form that routes, Yoga and Engine.IO compare with: its
 * target, `Host` and `Content-Type`. Returns false when the host is malformed.
 */
export function normaliseHead(request: IncomingMessage): boolean {
  const { headers } = request;
  const [, authority, rest] = ABSOLUTE_FORM.exec(request.url ?? '/') ?? [];
  request.url = normaliseTarget(rest ?? request.url ?? '/');
  // It takes the place of the header, which such a request has as well.
  const host = authority ?? headers.host;
  if (host === undefined || host === '') delete headers.host;
  else if (isHost(host)) headers.host = host;
  else return false;
  const type = headers['content-type'];
  if (type !== undefined) headers['content-type'] = normaliseType(type);
  return true;
}

/** Without dot segments, doubled and trailing slashes, and needless escapes. The query stays as it is. */
function normaliseTarget(target: string): string {
  if (target === '*') return target;
  const [bare = ''] = target.split('#', 1);
  const queryAt = bare.indexOf('?');
  const path = queryAt < 0 ? bare : bare.slice(0, queryAt);
  const unescaped = path.replaceAll(ESCAPED, (escaped, hex: string) => {
    const character = String.fromCharCode(parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : escaped;
  });
  // The slash in front keeps the parser from reading a host.
  const { pathname } = new URL(`/${unescaped}`.replaceAll(/[/\\]+/g, '/'), 'http://localhost');
  return (pathname.replace(/\/+$/, '') || '/') + (queryAt < 0 ? '' : bare.slice(queryAt));
}

function isHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { pathname, search, hash, username, password } = new URL(`http://${host}`);
  return pathname === '/' && `${search}${hash}${username}${password}` === '' && !/[/?#@\\]/.test(host);
}

/** The type in lower case. Its parameters stay as they are, as boundaries have a case. */
function normaliseType(header: string): string {
  // Some clients send a list.
  const { type, index } = parse(header, { parameters: false, comma: true });
  return type + (header[index] === ',' ? '' : header.slice(index));
}

/** The media type of a request's body, in lower case and without parameters. */
export const mediaTypeOf = ({ headers }: Pick<IncomingMessage, 'headers'>): string =>
  parse(headers['content-type'] ?? '', { parameters: false }).type;

/** The codings of a body that is compressed; undefined for one that is sent as it is. */
export function encodingOf({ headers }: IncomingMessage): string | undefined {
  const codings = `${headers['content-encoding'] ?? ''},${headers['transfer-encoding'] ?? ''}`
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity' && coding !== 'chunked');
  return codings.length === 0 ? undefined : codings.join(', ');
}

/** Whether a value of a list header, such as `Upgrade`, is in it, in any case. */
export const lists = (header: string | undefined, value: string): boolean =>
  header?.split(',').some((item) => item.trim().toLowerCase() === value) === true;
