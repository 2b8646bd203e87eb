import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { findLanAddress } from '../../src/lib/lan-address.ts';

const toInfo = (address: string): NetworkInterfaceInfo => {
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const common = { address, netmask: '', mac: '', internal: address.startsWith('127.'), cidr: null };
  return family === 'IPv6' ? { ...common, family, scopeid: 0 } : { ...common, family };
};

const find = (interfaces: Readonly<Record<string, readonly string[]>>) =>
  findLanAddress(() =>
    Object.fromEntries(Object.entries(interfaces).map(([name, addresses]) => [name, addresses.map(toInfo)])),
  );

test.for([
  ['of the first private IPv4', { lo: ['127.0.0.1'], eth0: ['fe80::1', '192.168.1.5'] }, '192.168.1.5'],
  ['not a public one', { eth0: ['203.0.113.7'], wlan0: ['10.1.2.3'] }, '10.1.2.3'],
  ['of 172.16 to 172.31', { eth0: ['172.32.0.1'], eth1: ['172.31.255.1'] }, '172.31.255.1'],
  [
    'not that of containers',
    { docker0: ['172.17.0.1'], 'br-1f': ['172.18.0.1'], en0: ['10.0.0.2'] },
    '10.0.0.2',
  ],
  ['that of a tunnel without any other', { lo: ['127.0.0.1'], utun3: ['10.8.0.2'] }, '10.8.0.2'],
  ['none without a network', { lo: ['127.0.0.1'], eth0: ['169.254.3.4', 'fe80::1'] }, undefined],
] as const)('the address in the local network is %s', ([, interfaces, expected]) => {
  expect(find(interfaces)).toBe(expected);
});
