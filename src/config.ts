import { BlockList, isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { z } from 'zod';

/** A value as it is pasted: with spaces around it, or with the quotes that a shell takes off and an env file keeps. */
const unquote = (text: string): string =>
  text
    .trim()
    .replace(/^(?:"([^"]*)"|'([^']*)')$/, '$1$2')
    .trim();
/** Taken as they are: what is in quotes here is so on every node. */
const VERBATIM: readonly string[] = ['AUTH_SECRET', 'AUTH_DEVICE_SECRET'];
/** A comma list, each item once. */
const list = z.string().transform((text) => [
  ...new Set(
    text
      .split(',')
      .map(unquote)
      .filter((item) => item !== ''),
  ),
]);
const urlOf = (schemes: RegExp, example: string) =>
  z.string().refine((url) => schemes.test(url) && !/\s/.test(url), `must be one URL such as ${example}`);
const ONE_HOST = 'must be one address or name without a port, such as 0.0.0.0, ::1 or localhost';
/** An IPv6 address as it stands in a URL. */
const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');
const wholeNumber = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(minimum).max(maximum));
const MIN_SECRET = 16;
/** Of a list the first signs. A text whose parts are too short for secrets is one secret with a comma in it. */
const secrets = z
  .string()
  .min(MIN_SECRET, `must have at least ${MIN_SECRET} characters`)
  .transform((text): readonly string[] => {
    const parts = text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
    // The whole text verifies as well: it may have been one secret before lists were understood.
    const isList = text.includes(',') && parts.length > 0 && parts.every((part) => part.length >= MIN_SECRET);
    return isList ? [...parts, text] : [text];
  });
/** One of these words, in any case. */
const oneOf = <Word extends string>(...words: readonly Word[]) =>
  z
    .string()
    .transform((text) => text.toLowerCase())
    .pipe(z.enum(words, `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`));
const onOff = oneOf('on', 'off');
const FORWARD_CHANNELS = 'must list webrtc_forward, webrtc_config or both';
const forwardChannel = z.enum(['webrtc_forward', 'webrtc_config'], FORWARD_CHANNELS);
/**
 * An origin as browsers write it: lower case, punycode, without the default port and a slash at the end. Undefined for
 * what is none. Apps in a WebView have schemes of their own (`capacitor://localhost`, `file://`); a page of no origin
 * says `null`.
 */
export function parseOrigin(text: string): string | undefined {
  if (text.toLowerCase() === 'null') return 'null';
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, pathname, search, hash, username, password } = new URL(text);
  if (!/^\/?$/.test(pathname) || `${search}${hash}${username}${password}` !== '') return undefined;
  if (host === '' && protocol !== 'file:') return undefined;
  return `${protocol}//${host.toLowerCase()}`;
}

const origins = list
  .refine((items) => items.length > 0, 'must list at least one origin, or *')
  .transform((items, context) =>
    items.map((item) => {
      const origin = item === '*' ? item : parseOrigin(item);
      if (origin !== undefined && !/^wss?:|.\*/.test(origin)) return origin;
      context.addIssue(`"${item}" ${whyNoOrigin(item)}`);
      return item;
    }),
  )
  .transform((items) => [...new Set(items)]);

function whyNoOrigin(item: string): string {
  if (/[\s;]/.test(item)) return 'must be separated by commas';
  if (item.includes('*')) return 'has a wildcard, which can only stand alone (*): list each origin';
  if (/^wss?:/i.test(item)) return 'must be the origin of a page: https:// or http://';
  if (!item.includes('://')) return `lacks its scheme: https://${item}`;
  if (URL.canParse(item)) return 'must be scheme, host and port alone';
  return 'is not an origin such as https://app.example.com';
}

const iceUrls = (schemes: RegExp, example: string) =>
  list
    .transform((urls) => urls.map(normaliseIceUrl))
    .refine((urls) => urls.every((url) => isIceUrl(url, schemes)), `must be a comma list such as ${example}`);

/** Schemes in lower case and hosts in ASCII: not every WebRTC library reads others. */
const normaliseIceUrl = (url: string): string =>
  url
    .replace(
      /^(\w+:)([^:/?[\]]+)/,
      (_, scheme: string, host: string) => scheme.toLowerCase() + domainToASCII(host),
    )
    .replace(/^\w+:/, (scheme) => scheme.toLowerCase());

/** By RFC 7064 and 7065, with the ports that exist; an IPv6 address stands in brackets. */
function isIceUrl(url: string, schemes: RegExp): boolean {
  const { host = '', port = '1' } = schemes.exec(url)?.groups ?? {};
  const isHost = host.startsWith('[') ? isIPv6(host.slice(1, -1)) : /^[\w.-]+$/.test(host);
  return isHost && Number(port) > 0 && Number(port) <= 65_535;
}

/** Every environment variable: its parser, its default in words, and what it does. docs/configuration.md is made from this table. */
export const VARIABLES = {
  HOST: {
    schema: z
      .string()
      .refine((host) => isIP(withoutBrackets(host)) !== 0 || /^[^/:\s]+$/.test(host), ONE_HOST)
      .optional(),
    default: '127.0.0.1; 0.0.0.0 with `DATABASE_URL`',
    about: 'Address to listen on. Set 0.0.0.0 to reach the embedded gateway from other machines.',
  },
  PORT: {
    schema: wholeNumber(0, 65_535).default(4000),
    default: '4000',
    about: 'Port to listen on; 0 picks a free one.',
  },
  DATA_DIR: {
    schema: z.string().min(1).default('./data'),
    default: './data',
    about: 'Folder of the embedded database, the media and the generated secret; `memory` keeps nothing.',
  },
  DATABASE_URL: {
    schema: urlOf(/^postgres(ql)?:\/\//i, 'postgres://user:password@host:5432/database').optional(),
    default: 'none: the embedded database',
    about: 'PostgreSQL to use instead of the embedded database; any number of nodes may share it.',
  },
  REDIS_URL: {
    schema: urlOf(/^rediss?:\/\//i, 'redis://host:6379').optional(),
    default: 'none: LISTEN/NOTIFY',
    about: 'Redis that carries live events between nodes, with `DATABASE_URL`.',
  },
  AUTH_SECRET: {
    schema: secrets.optional(),
    default: 'generated and kept in `DATA_DIR`',
    about:
      'HS256 secret of account tokens; required with `DATABASE_URL`. A comma list while rotating: the first signs, all verify.',
  },
  AUTH_DEVICE_SECRET: {
    schema: secrets.optional(),
    default: 'none: device tokens are told by their `kind` claim',
    about: 'HS256 secret of device tokens, or a comma list; whatever verifies with it is a device.',
  },
  AUTH_JWKS_URL: {
    schema: z.url({ protocol: /^https?$/, error: 'must be one URL such as https://host/keys' }).optional(),
    default: 'none',
    about: 'Key set of an outside identity provider whose tokens are accepted too.',
  },
  AUTH_ISSUER: {
    schema: z.string().optional(),
    default: 'none',
    about: 'Required `iss` of outside tokens; required with `AUTH_JWKS_URL`.',
  },
  AUTH_AUDIENCE: {
    schema: z.string().optional(),
    default: 'none',
    about: 'Required `aud` of outside tokens.',
  },
  STUN_URLS: {
    schema: iceUrls(
      /^stuns?:(?<host>\[[^\]\s]*\]|[^:/?\s[\]]+)(?::(?<port>\d{1,5}))?$/,
      'stun:host:3478',
    ).default(['stun:webrtc.neo.ovh:3478']),
    default: 'stun:webrtc.neo.ovh:3478',
    about: 'Comma list of STUN servers that clients are told of.',
  },
  TURN_URLS: {
    schema: iceUrls(
      /^turns?:(?<host>\[[^\]\s]*\]|[^:/?\s[\]]+)(?::(?<port>\d{1,5}))?(?:\?transport=(?:udp|tcp))?$/,
      'turn:host:3478',
    ).default(['turn:webrtc.neo.ovh:3478']),
    default: 'turn:webrtc.neo.ovh:3478',
    about: 'Comma list of TURN servers that clients are told of.',
  },
  TURN_SECRET: {
    schema: list.refine((secrets) => secrets.length > 0, 'must not be empty').optional(),
    default: 'a random one: no TURN server accepts the credentials',
    about:
      'Shared secret of the TURN servers (`static-auth-secret`); a comma list while rotating, the first one signs.',
  },
  TURN_TTL: {
    schema: wholeNumber(60, 31_536_000).default(86_400),
    default: '86400',
    about: 'Seconds that TURN credentials are valid.',
  },
  MEDIA_DIR: {
    schema: z.string().min(1).optional(),
    default: '`DATA_DIR`/media',
    about: 'Folder of uploaded media. Nodes that share a database must share it too.',
  },
  MAX_UPLOAD_BYTES: {
    schema: wholeNumber(1).default(100 * 1024 * 1024),
    default: '104857600',
    about: 'Largest accepted upload, in bytes.',
  },
  KEEP_ALIVE_MS: {
    schema: wholeNumber(1, 3_600_000).default(75_000),
    default: '75000',
    about:
      'Milliseconds that an idle HTTP connection stays open; longer than a balancer in front keeps it (often 60 s).',
  },
  CORS_ORIGINS: {
    schema: origins.optional(),
    default: 'any origin is reflected',
    about:
      'Comma list of origins allowed on HTTP, WebSocket and Engine.IO, such as `https://app.example.com`, `capacitor://localhost` or `null`; `*` allows any.',
  },
  PRESENCE_GRACE_MS: {
    schema: wholeNumber(0, 3_600_000).default(5000),
    default: '5000',
    about: 'Milliseconds without any connection before an account is announced as offline.',
  },
  EVENT_RETENTION_DAYS: {
    schema: wholeNumber(1, 36_500).default(7),
    default: '7',
    about: 'Days that events stay in the log.',
  },
  EVENT_RETENTION_COUNT: {
    schema: wholeNumber(1).default(10_000),
    default: '10000',
    about: 'Events that stay in the log, for each topic.',
  },
  LEGACY_FORWARD_CHANNELS: {
    schema: list.pipe(z.array(forwardChannel).min(1, FORWARD_CHANNELS)).optional(),
    default: 'both; `webrtc_forward` only for clients that send no `EIO`',
    about: 'Channels on which a forwarded WebRTC message reaches legacy clients, in order.',
  },
  RATE_LIMITS: {
    schema: onOff.default('on'),
    default: 'on',
    about: 'Limits on logins and on operations of one account: `on` or `off`.',
  },
  INTROSPECTION: {
    schema: onOff.default('on'),
    default: 'on',
    about: 'GraphQL introspection: `on` or `off`.',
  },
  OPERATIONS: {
    schema: oneOf('any', 'persisted').default('any'),
    default: 'any',
    about:
      '`persisted` runs only the documents in `PERSISTED_OPERATIONS`, on every transport; `any` runs others too.',
  },
  PERSISTED_OPERATIONS: {
    schema: z.string().min(1).optional(),
    default: 'none',
    about:
      'JSON file of documents by id, as Relay, graphql-codegen, gql.tada and Apollo make it ([persisted operations](persisted-operations.md)).',
  },
  GRAPHIQL: {
    schema: onOff.optional(),
    default: 'on where `HOST` is a loopback address',
    about: 'GraphiQL for browsers at `/graphql`: `on` or `off`.',
  },
  SIGN_UP: {
    schema: onOff.optional(),
    default: 'as `PASSWORD_LOGIN`',
    about: 'Whether anyone may create an account with a password: `on` or `off`.',
  },
  PASSWORD_LOGIN: {
    schema: onOff.default('on'),
    default: 'on',
    about:
      'Whether accounts log in with a password: `on` or `off`, as where an outside identity provider issues all tokens. Devices do in any case.',
  },
  DEMO: {
    schema: onOff.optional(),
    default: 'on for a new embedded database where `HOST` is a loopback address',
    about:
      'Accounts to try things with: `on` creates them, with `off` they cannot log in while they have their published password. Possible only where `HOST` is a loopback address.',
  },
  LOG_LEVEL: {
    schema: oneOf('silent', 'error', 'warn', 'info', 'debug').default('info'),
    default: 'info',
    about: 'silent, error, warn, info or debug.',
  },
} as const satisfies Record<string, { schema: z.ZodType; default: string; about: string }>;

type Variables = { readonly [Name in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[Name]['schema']> };

/** The whole configuration, read once at start. Field names are those of the environment. */
export type Config = Variables;

/** The address to listen on. */
export const hostOf = ({
  HOST,
  DATABASE_URL,
}: {
  HOST?: string | undefined;
  DATABASE_URL?: string | undefined;
}): string =>
  HOST === undefined ? (DATABASE_URL === undefined ? '127.0.0.1' : '0.0.0.0') : withoutBrackets(HOST);

/** Whether only programs on this machine reach the address. */
export function isLoopback(host: string): boolean {
  if (/^(.+\.)?localhost\.?$/i.test(host)) return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  const version = isIP(host);
  return version !== 0 && loopback.check(host, version === 6 ? 'ipv6' : 'ipv4');
}

export const isGraphiqlOn = (config: Config): boolean =>
  (config.GRAPHIQL ?? (isLoopback(hostOf(config)) ? 'on' : 'off')) === 'on';

/** Thrown by `readConfig`, with one line for each thing that is wrong. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} problem(s):\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
    this.problems = problems;
  }
}

const shape = Object.fromEntries(
  Object.entries(VARIABLES).map(([name, variable]) => [name, variable.schema]),
);

/** Reads the environment. An empty variable counts as absent. Throws `ConfigError` naming every bad variable at once. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).flatMap(([name, given = '']) => {
      const value = VERBATIM.includes(name) ? given : unquote(given);
      return name in VARIABLES && value.trim() !== '' ? [[name, value]] : [];
    }),
  );
  const parsed = z.object(shape).safeParse(given);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);
  if (given['DATABASE_URL'] !== undefined && given['AUTH_SECRET'] === undefined)
    problems.push('AUTH_SECRET: is required with DATABASE_URL');
  if (given['REDIS_URL'] !== undefined && given['DATABASE_URL'] === undefined)
    problems.push('REDIS_URL: needs DATABASE_URL');
  if (parsed.data?.['DEMO'] === 'on' && !isLoopback(hostOf(parsed.data)))
    problems.push('DEMO: can be on only where HOST is a loopback address, as its passwords are published');
  if (given['AUTH_JWKS_URL'] !== undefined && given['AUTH_ISSUER'] === undefined)
    problems.push('AUTH_ISSUER: is required with AUTH_JWKS_URL');
  if (parsed.data?.['OPERATIONS'] === 'persisted' && given['PERSISTED_OPERATIONS'] === undefined)
    problems.push('PERSISTED_OPERATIONS: is required with OPERATIONS=persisted');
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return Object.freeze(parsed.data as Config);
}
