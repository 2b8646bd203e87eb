import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import proxyAddr from 'proxy-addr';
import { z } from 'zod';

const MIN_SECRET_LENGTH = 16;

/** Removes whitespace and one pair of quotes: a shell strips them, but many env files keep them. */
export const unquote = (text: string): string =>
  text
    .trim()
    .replace(/^(?:"([^"]*)"|'([^']*)')$/, '$1$2')
    .trim();

/** Removes the brackets of an IPv6 address in a URL. */
export const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

export const hostAddress = z
  .string()
  .refine(
    (host) => isIP(withoutBrackets(host)) !== 0 || /^[^/:\s]+$/.test(host),
    'must be one address or name without a port, such as 0.0.0.0, ::1 or localhost',
  );

/** A comma-separated list without duplicates. */
export const list = z.string().transform((text) => [
  ...new Set(
    text
      .split(',')
      .map(unquote)
      .filter((item) => item !== ''),
  ),
]);

/** Addresses and subnets of proxies. */
export const proxies = list.superRefine((items, context) => {
  try {
    proxyAddr.compile(items);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    context.addIssue(`must list addresses or subnets such as 10.0.0.0/8 (${problem})`);
  }
});

export const urlOf = (schemes: RegExp, example: string) =>
  z.string().refine((url) => schemes.test(url) && !/\s/.test(url), `must be one URL such as ${example}`);

export const wholeNumber = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(minimum).max(maximum));

/**
 * One secret, or a comma-separated list: tokens are signed with the first, and all are accepted for verification. A text
 * with a comma is a list only if every part is long enough for a secret.
 */
export const secrets = z
  .string()
  .min(MIN_SECRET_LENGTH, `must have at least ${MIN_SECRET_LENGTH} characters`)
  .transform((text): readonly string[] => {
    const parts = text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
    const isList =
      text.includes(',') && parts.length > 0 && parts.every((part) => part.length >= MIN_SECRET_LENGTH);
    // The whole text is accepted, too: before lists were supported it was one secret, and tokens may be signed with it.
    return isList ? [...parts, text] : [text];
  });

/** One of the given words, case-insensitive. */
export const oneOf = <Word extends string>(...words: readonly Word[]) =>
  z
    .string()
    .transform((text) => text.toLowerCase())
    .pipe(z.enum(words, `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`));

export const onOff = oneOf('on', 'off');

const FORWARD_CHANNELS = 'must list webrtc_forward, webrtc_config or both';
export const forwardChannels = list.pipe(
  z.array(z.enum(['webrtc_forward', 'webrtc_config'], FORWARD_CHANNELS)).min(1, FORWARD_CHANNELS),
);

/**
 * Normalises an origin to the form browsers send: lower case, punycode, no default port, no trailing slash. Returns
 * undefined for anything else. Accepts the schemes of WebViews (`capacitor://localhost`, `file://`) and `null`, which
 * pages with an opaque origin send.
 */
export function parseOrigin(text: string): string | undefined {
  if (text.toLowerCase() === 'null') return 'null';
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, pathname, search, hash, username, password } = new URL(text);
  if (!/^\/?$/.test(pathname) || `${search}${hash}${username}${password}` !== '') return undefined;
  if (host === '' && protocol !== 'file:') return undefined;
  return `${protocol}//${host.toLowerCase()}`;
}

export const origins = list
  .refine((items) => items.length > 0, 'must list at least one origin, or *')
  .transform((items, context) =>
    items.map((item) => {
      const origin = item === '*' ? item : parseOrigin(item);
      if (origin !== undefined && !/^wss?:|.\*/.test(origin)) return origin;
      context.addIssue(`"${item}" ${explainInvalidOrigin(item)}`);
      return item;
    }),
  )
  .transform((items) => [...new Set(items)]);

function explainInvalidOrigin(item: string): string {
  if (/[\s;]/.test(item)) return 'must be separated by commas';
  if (item.includes('*')) return 'has a wildcard, which can only stand alone (*): list each origin';
  if (/^wss?:/i.test(item)) return 'must be the origin of a page: https:// or http://';
  if (!item.includes('://')) return `lacks its scheme: https://${item}`;
  if (URL.canParse(item)) return 'must be scheme, host and port alone';
  return 'is not an origin such as https://app.example.com';
}

export const iceUrls = (schemes: RegExp, example: string) =>
  list
    .transform((urls) => urls.map(normalizeIceUrl))
    .refine((urls) => urls.every((url) => isIceUrl(url, schemes)), `must be a comma list such as ${example}`);

/** Lower-cases the scheme and converts the host to ASCII: some WebRTC libraries accept nothing else. */
const normalizeIceUrl = (url: string): string =>
  url
    .replace(
      /^(\w+:)([^:/?[\]]+)/,
      (_, scheme: string, host: string) => scheme.toLowerCase() + domainToASCII(host),
    )
    .replace(/^\w+:/, (scheme) => scheme.toLowerCase());

/** Follows RFC 7064 and 7065, with valid ports; an IPv6 address needs brackets. */
function isIceUrl(url: string, schemes: RegExp): boolean {
  const { host = '', port = '1' } = schemes.exec(url)?.groups ?? {};
  const isHost = host.startsWith('[') ? isIPv6(host.slice(1, -1)) : /^[\w.-]+$/.test(host);
  return isHost && Number(port) > 0 && Number(port) <= 65_535;
}
