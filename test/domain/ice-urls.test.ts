import { expect, test } from 'vitest';
import { encodeIceServer } from '../../src/bridge/contract/encoders.ts';
import { readConfig } from '../../src/config.ts';

test.for([
  ['stun:[2001:db8::1]:3479', 'stun:[2001:db8::1]:3479', '[2001:db8::1]', 3479],
  ['turn:[::1]?transport=udp', 'turn:[::1]?transport=udp', '[::1]', 3478],
  ['STUN:Example.com', 'stun:example.com', 'example.com', 3478],
  ['stuns:bücher.example', 'stuns:xn--bcher-kva.example', 'xn--bcher-kva.example', 5349],
  ['turns:host', 'turns:host', 'host', 5349],
] as const)('%s is a server that every client understands', ([setting, url, domain, port]) => {
  const name = /^turn/i.test(setting) ? 'TURN_URLS' : 'STUN_URLS';
  expect(readConfig({ [name]: setting })[name]).toEqual([url]);
  expect(encodeIceServer(url)).toEqual({ domain, ip: '', port });
});

test.for([
  'stun:a:0',
  'stun:a:99999',
  'stun:[x]',
  'stun:[::1',
  'stun:::1',
  'stun://a',
  'stun:user@host',
  'stun:a?transport=udp',
])('%s is rejected at startup', (url) => {
  expect(() => readConfig({ STUN_URLS: url })).toThrow('STUN_URLS: must be a comma list');
});
