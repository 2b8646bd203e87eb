import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { createAddressOf } from '../../src/gateway/client-address.ts';

describe('the address of a client', () => {
  test.each([
    ['without a proxy', [], undefined, '127.0.0.1'],
    ['with a header of its own', [], '198.51.100.7', '127.0.0.1'],
    ['behind a trusted proxy', ['127.0.0.1'], '198.51.100.7', '198.51.100.7'],
    ['behind a trusted subnet', ['127.0.0.0/8'], '198.51.100.7', '198.51.100.7'],
    ['that claims another address before', ['loopback'], '203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['behind two trusted proxies', ['127.0.0.1', '10.0.0.0/8'], '198.51.100.7, 10.1.2.3', '198.51.100.7'],
    ['with a port', ['127.0.0.1'], '198.51.100.7:50123', '198.51.100.7'],
    ['of IPv6 is its /64', ['127.0.0.1'], '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['of IPv6 with a port', ['127.0.0.1'], '[2001:db8:1:2:3:4:5:6]:443', '2001:db8:1:2::/64'],
    ['of IPv4 mapped into IPv6', ['127.0.0.1'], '::ffff:198.51.100.7', '198.51.100.7'],
    ['that is no address', ['127.0.0.1'], 'unknown', '127.0.0.1'],
    ['that is empty', ['127.0.0.1'], '', '127.0.0.1'],
  ])('%s', async (_title, trustedProxies, forwardedFor, expected) => {
    expect(await readAddress(trustedProxies, forwardedFor)).toBe(expected);
  });

  test('warns once of a proxy that is not trusted', async () => {
    const untrusted: string[] = [];
    const addressOf = createAddressOf({
      trustedProxies: [],
      onUntrustedProxy: (address) => void untrusted.push(address),
    });
    await withServer(addressOf, async (get) => {
      await get(undefined);
      expect(untrusted).toEqual([]);
      await get('198.51.100.7');
      await get('198.51.100.8');
    });
    expect(untrusted).toEqual(['127.0.0.1']);
  });
});

test.each(['10.0.0.0/8,::1,loopback', '192.0.2.1'])('TRUSTED_PROXIES may be %s', (text) => {
  expect(readConfig({ TRUSTED_PROXIES: text }).TRUSTED_PROXIES).toEqual(text.split(','));
});

test.each(['proxy.example.com', '10.0.0.0/40', '10.0.0.1:80', 'true'])(
  'TRUSTED_PROXIES may not be %s',
  (text) => {
    expect(() => readConfig({ TRUSTED_PROXIES: text })).toThrow(/TRUSTED_PROXIES: must list addresses/);
  },
);

type Get = (forwardedFor: string | undefined) => Promise<string>;

async function readAddress(trustedProxies: string[], forwardedFor: string | undefined): Promise<string> {
  const addressOf = createAddressOf({ trustedProxies, onUntrustedProxy: () => undefined });
  return withServer(addressOf, (get) => get(forwardedFor));
}

/** Serves the address of each request on 127.0.0.1. */
async function withServer<Result>(
  addressOf: ReturnType<typeof createAddressOf>,
  use: (get: Get) => Promise<Result>,
): Promise<Result> {
  const server = createServer((request, response) => response.end(addressOf(request)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await use(async (forwardedFor) => {
      const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor };
      const request = httpRequest({ port, host: '127.0.0.1', headers, agent: false }).end();
      const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    });
  } finally {
    server.close();
  }
}
