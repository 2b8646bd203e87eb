import type { IncomingMessage } from 'node:http';

/**
 * A token in a request, or the problem with it. `isBlank` marks values that count as no token: those that client libraries
 * send before a login, such as `Bearer undefined`, and credentials for a proxy. Other problems count as a bad token.
 */
export type FoundToken =
  | { readonly token: string; readonly problem?: never; readonly isBlank?: never }
  | { readonly token?: never; readonly problem: string; readonly isBlank: boolean };

/** Names of tokens, as returned by `normalizeName`, in order of precedence. */
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

/** A part of each of the names. Most requests have no such header or parameter, which is noticed fast. */
const NAME_PART = /auth|token|bearer|jwt/i;

/** Objects that hold tokens in guides of client libraries. A `token` elsewhere is something else, such as a push token. */
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
/** Recognises a JWT under any name. */
const JWT = /(?:^|[\s.:,])(eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+)$/;
const MAX_OBJECT_DEPTH = 4;
const MAX_TOKEN_LENGTH = 32_768;
const MAX_NESTED_PREFIXES = 8;

/**
 * Finds the token in objects that a client sent to log in: a payload of `connection_init`, the `auth` or `query` of a
 * Socket.IO handshake, the parameters of a URL. The first object with a token has precedence; within an object, a known
 * name over a value that looks like a JWT. Returns undefined when there is neither.
 */
export function findToken(...sources: readonly unknown[]): FoundToken | undefined {
  return firstOf(sources.flatMap((source) => [...findNamed(source, 0), ...findSigned(source, 0)]));
}

/**
 * Finds the token in the headers of a request. Headers with unknown names are ignored, as proxies add their own. Credentials
 * for a proxy are blank, not bad: browsers send them with every request.
 */
export function findTokenInHeaders(request: IncomingMessage): FoundToken | undefined {
  if (!request.rawHeaders.some((text, index) => index % 2 === 0 && NAME_PART.test(text))) return undefined;
  const { headers, headersDistinct } = request;
  const found = firstOf(findNamed(headersDistinct, MAX_OBJECT_DEPTH));
  const scheme = PROXY_SCHEME.exec(headers.authorization ?? '')?.[0];
  if (scheme === undefined || found?.token !== undefined) return found;
  return {
    problem: `\`authorization\` has the scheme \`${scheme}\`. Send \`Bearer <token>\`.`,
    isBlank: true,
  };
}

/**
 * Finds the token of one operation in its `extensions`: under `authorization`, or in `headers` as GraphiQL sends them. Not
 * deeper, as apps put unrelated values there.
 */
export function findTokenInOperation(extensions: unknown): FoundToken | undefined {
  if (typeof extensions !== 'object' || extensions === null) return undefined;
  const { headers, authorization, Authorization } = extensions as Readonly<Record<string, unknown>>;
  return firstOf([
    ...findNamed({ authorization, Authorization }, MAX_OBJECT_DEPTH),
    ...findNamed(headers, MAX_OBJECT_DEPTH),
  ]);
}

/** Finds the token in the headers or the URL of a request: a browser's EventSource and WebSocket cannot set headers. */
export function findTokenInRequest(request: IncomingMessage): FoundToken | undefined {
  return firstOf([findTokenInHeaders(request), findToken(readParameters(request))]);
}

/** Finds the token of an upgrade request, including its subprotocols, where browsers can send one outside the URL. */
export function findTokenInUpgrade(request: IncomingMessage): FoundToken | undefined {
  const protocols = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim());
  return firstOf([findTokenInRequest(request), findToken({ protocols })]);
}

/** Returns the first token; without one, the first bad token; without that, the first blank. */
export function firstOf(found: readonly (FoundToken | undefined)[]): FoundToken | undefined {
  const present = found.filter((token) => token !== undefined);
  return (
    present.find(({ token }) => token !== undefined) ??
    present.find(({ isBlank }) => isBlank === false) ??
    present[0]
  );
}

function readParameters({ url = '' }: IncomingMessage): Record<string, string[]> {
  const parameters: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  const [target = ''] = url.split('#', 1);
  const start = target.indexOf('?');
  if (start < 0) return parameters;
  for (const [name, value] of new URLSearchParams(target.slice(start + 1)))
    (parameters[name] ??= []).push(value);
  return parameters;
}

const normalizeName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^x[-_]/, '')
    .replaceAll(/[-_]/g, '');

const isTokenName = (name: string): boolean => NAME_PART.test(name) && NAMES.includes(normalizeName(name));

/** Returns the values under token names, those of the outermost object first. */
function findNamed(values: unknown, depth: number): FoundToken[] {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return [];
  const entries = Object.entries(values);
  const named = entries
    .filter(([name]) => NAME_PART.test(name))
    .map(([name, value]) => ({ name, value, rank: NAMES.indexOf(normalizeName(name)) }))
    .filter(({ rank }) => rank >= 0)
    .sort((a, b) => a.rank - b.rank);
  const found = named.flatMap(({ name, value }) => readValue(name, value) ?? []);
  if (depth >= MAX_OBJECT_DEPTH) return found;
  const inner = entries.filter(([name]) => WRAPPERS.has(normalizeName(name)) || isTokenName(name));
  return [...found, ...inner.flatMap(([, value]) => findNamed(value, depth + 1))];
}

function findSigned(value: unknown, depth: number): FoundToken[] {
  if (typeof value === 'string') {
    const token = value.length > MAX_TOKEN_LENGTH ? undefined : JWT.exec(value)?.[1];
    return token === undefined ? [] : [{ token }];
  }
  if (typeof value !== 'object' || value === null || depth >= MAX_OBJECT_DEPTH) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    // `findNamed` has read it, and rejected it if malformed.
    typeof inner === 'string' && isTokenName(name) ? [] : findSigned(inner, depth + 1),
  );
}

function readValue(name: string, value: unknown): FoundToken | undefined {
  if (value === undefined || value === null) return undefined;
  const values: readonly unknown[] = Array.isArray(value) ? [...new Set<unknown>(value)] : [value];
  if (values.length > 1) return badToken(`\`${name}\` was sent more than once, with different values.`);
  const [single] = values;
  if (typeof single !== 'string') return badToken(`\`${name}\` must be text.`);
  return readText(name, single);
}

function readText(name: string, sent: string): FoundToken | undefined {
  if (sent.length > MAX_TOKEN_LENGTH) return badToken(`\`${name}\` is too long.`);
  let text = sent.trim();
  for (let count = 0; count < MAX_NESTED_PREFIXES; count += 1)
    text = text.replace(SCHEME, '').replace(QUOTED, '$2').trim();
  if (text === '') return undefined;
  if (BLANKS.has(text.toLowerCase()))
    return { problem: `\`${name}\` is \`${text}\`. Send a token, or leave it out.`, isBlank: true };
  if (text.includes(',')) return badToken(`\`${name}\` must hold one token.`);
  if (/\s/.test(text)) return badToken(`\`${name}\` must be \`Bearer <token>\`, or the token alone.`);
  return { token: text };
}

const badToken = (problem: string): FoundToken => ({ problem, isBlank: false });
