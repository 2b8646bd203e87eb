import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';

/** Address of a request whose socket has closed already. */
const UNKNOWN = 'unknown';

/** Returns the address of a request's client: an IPv4 address, or the /64 network of an IPv6 address. */
export type AddressOf = (request: IncomingMessage) => string;

export interface ClientAddressOptions {
  /** Addresses and subnets of the proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
  /** Called once, at the first request that was forwarded by a proxy that is not trusted. */
  readonly onUntrustedProxy: (address: string) => void;
}

/** Creates the check whether an address is one of the proxies. */
export function createProxyCheck(trustedProxies: readonly string[]): (address: string) => boolean {
  const isTrusted = proxyAddr.compile([...trustedProxies]);
  return (address) => isTrusted(address, 0);
}

/**
 * Creates the function that finds a client's address. `X-Forwarded-For` is read from its end: the first address that is
 * not a trusted proxy is the client's, as whatever stands before it may have been sent by the client itself.
 */
export function createAddressOf({ trustedProxies, onUntrustedProxy }: ClientAddressOptions): AddressOf {
  const isTrusted = createProxyCheck(trustedProxies);
  let hasWarned = false;
  return (request) => {
    const peer = request.socket.remoteAddress;
    if (peer === undefined) return UNKNOWN;
    if (request.headers['x-forwarded-for'] === undefined) return networkOf(peer) ?? UNKNOWN;
    if (!hasWarned && !isTrusted(peer)) {
      hasWarned = true;
      onUntrustedProxy(peer);
    }
    return networkOf(proxyAddr(request, isTrusted)) ?? networkOf(peer) ?? UNKNOWN;
  };
}

/**
 * Returns the /64 network of an IPv6 address, which providers assign to one customer; an IPv4 address as it is, also one
 * that is mapped into IPv6. A port, which some proxies append, is dropped. Returns undefined for anything else.
 */
function networkOf(text: string): string | undefined {
  const address = text
    .trim()
    .replace(/^\[(.*)\](?::\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1');
  if (!ipaddr.isValid(address)) return undefined;
  const parsed = ipaddr.process(address);
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString();
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`;
}
