import type { IncomingMessage } from 'node:http';

/**
 * A token as a client sent it, or why what it sent is none. A blank counts as no token: what a client library sends
 * while no one is logged in, as `Bearer undefined`, and the login of a proxy. Every other problem counts as a bad token.
 */
export type FoundToken =
  | { readonly token: string; readonly problem?: never; readonly isBlank?: never }
  | { readonly token?: never; readonly problem: string; readonly isBlank: boolean };

/** Names without case, hyphens, underscores and a leading `x-`, in their order of precedence. */
const NAMES = [
  'authorization',
  'token',
  'accesstoken',
  'authtoken',
  'authorizationtoken',
  'bearertoken',
  'bearer',
  'jwt',
  'jwttoken',
  'idtoken',
];

/** What holds a token in guides of client libraries. A `token` in anything else is another one, as that of a push service. */
const WRAPPERS: ReadonlySet<string> = new Set([
  'headers',
  'header',
  'httpheaders',
  'http',
  'request',
  'fetchoptions',
  'auth',
  'authentication',
  'credentials',
  'context',
  'params',
  'connectionparams',
  'payload',
  'extensions',
  'session',
  'user',
]);

const SCHEME = /^(?:bearer|jwt|token)(?=[\s:]|$)[\s:]*/i;
const QUOTED = /^(["'`])(.*)\1$/s;
const PROXY_SCHEME = /^(?:basic|digest|negotiate|ntlm)(?=\s|$)/i;
const BLANKS: ReadonlySet<string> = new Set(['undefined', 'null', 'nil', 'none']);
/** A signed token gives itself away in whatever field it stands. */
const JWT = /(?:^|[\s.:,])(eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+)$/;
const MAX_DEPTH = 4;
const MAX_LENGTH = 32_768;
const MAX_WRAPPINGS = 8;

/**
 * Finds the token in values that a client sent to log in: a payload of `connection_init`, the `auth` or `query` of a
 * Socket.IO handshake, the parameters of a URL. The first place that has a token wins; within one place, a known name
 * before a value that merely looks like a token. Undefined when there is nothing of the kind.
 */
export function findToken(...places: readonly unknown[]): FoundToken | undefined {
  return firstOf(places.flatMap((place) => [...namedIn(place, 0), ...signedIn(place, 0)]));
}

/**
 * Finds the token in the headers of a request. Headers of unknown names are not searched: proxies add their own. Nor is
 * the login of a proxy a bad token: browsers send it with every request.
 */
export function findTokenInHeaders({ headers, headersDistinct }: IncomingMessage): FoundToken | undefined {
  const found = firstOf(namedIn(headersDistinct, MAX_DEPTH));
  const scheme = PROXY_SCHEME.exec(headers.authorization ?? '')?.[0];
  if (scheme === undefined || found?.token !== undefined) return found;
  return { problem: `\`authorization\` is \`${scheme}\`: that is no token.`, isBlank: true };
}

/**
 * Finds the token of one operation in its `extensions`: under `authorization`, or in `headers` as GraphiQL sends them. No
 * deeper: what else apps put there is not meant for us.
 */
export function findTokenInOperation(extensions: unknown): FoundToken | undefined {
  const { headers, authorization, Authorization } = (extensions ?? {}) as Readonly<Record<string, unknown>>;
  return firstOf([...namedIn({ authorization, Authorization }, MAX_DEPTH), ...namedIn(headers, MAX_DEPTH)]);
}

/** The same, and in its URL, for clients that cannot set headers: a browser's EventSource and WebSocket. */
export function findTokenInRequest(request: IncomingMessage): FoundToken | undefined {
  return firstOf([findTokenInHeaders(request), findToken(parametersOf(request))]);
}

/** The same, and among the subprotocols, where browsers can put a token that is to stay out of URLs. */
export function findTokenInUpgrade(request: IncomingMessage): FoundToken | undefined {
  const protocols = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim());
  return firstOf([findTokenInRequest(request), findToken({ protocols })]);
}

/** The first token; without one, the first thing that was meant to be one; without that, the first blank. */
export function firstOf(found: readonly (FoundToken | undefined)[]): FoundToken | undefined {
  const present = found.filter((one) => one !== undefined);
  return (
    present.find(({ token }) => token !== undefined) ??
    present.find(({ isBlank }) => isBlank === false) ??
    present[0]
  );
}

function parametersOf({ url = '' }: IncomingMessage): Record<string, string[]> {
  const parameters: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of new URLSearchParams(url.split('?').slice(1).join('?')))
    (parameters[name] ??= []).push(value);
  return parameters;
}

const plainNameOf = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^x[-_]/, '')
    .replaceAll(/[-_]/g, '');

const isName = (name: string): boolean => NAMES.includes(plainNameOf(name));

/** Values under the names of a token, those of the outermost object first. */
function namedIn(values: unknown, depth: number): FoundToken[] {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return [];
  const entries = Object.entries(values);
  const named = entries
    .map(([name, value]) => ({ name, value, rank: NAMES.indexOf(plainNameOf(name)) }))
    .filter(({ rank }) => rank >= 0)
    .sort((one, other) => one.rank - other.rank);
  const found = named.flatMap(({ name, value }) => readValue(name, value) ?? []);
  if (depth >= MAX_DEPTH) return found;
  const inner = entries.filter(([name]) => WRAPPERS.has(plainNameOf(name)) || isName(name));
  return [...found, ...inner.flatMap(([, value]) => namedIn(value, depth + 1))];
}

function signedIn(value: unknown, depth: number): FoundToken[] {
  if (typeof value === 'string') {
    const token = value.length > MAX_LENGTH ? undefined : JWT.exec(value)?.[1];
    return token === undefined ? [] : [{ token }];
  }
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    // Read by its name already, and refused if it was none.
    typeof inner === 'string' && isName(name) ? [] : signedIn(inner, depth + 1),
  );
}

function readValue(name: string, value: unknown): FoundToken | undefined {
  if (value === undefined || value === null) return undefined;
  const values: readonly unknown[] = Array.isArray(value) ? [...new Set<unknown>(value)] : [value];
  if (values.length > 1) return refused(`\`${name}\` was sent more than once, with different values.`);
  const [single] = values;
  if (typeof single !== 'string') return refused(`\`${name}\` must be text.`);
  return readText(name, single);
}

function readText(name: string, sent: string): FoundToken | undefined {
  if (sent.length > MAX_LENGTH) return refused(`\`${name}\` is too long.`);
  let text = sent.trim();
  for (let count = 0; count < MAX_WRAPPINGS; count += 1)
    text = text.replace(SCHEME, '').replace(QUOTED, '$2').trim();
  if (text === '') return undefined;
  if (BLANKS.has(text.toLowerCase()))
    return { problem: `\`${name}\` says \`${text}\`: that is no token.`, isBlank: true };
  if (text.includes(',')) return refused(`\`${name}\` must hold one token.`);
  if (/\s/.test(text)) return refused(`\`${name}\` must be \`Bearer <token>\`, or the token alone.`);
  return { token: text };
}

const refused = (problem: string): FoundToken => ({ problem, isBlank: false });
