import { expect, test } from 'vitest';
import { isLoopback } from '../../src/config.ts';

test.for([
  '127.0.0.1',
  '127.8.9.1',
  '::1',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
  'localhost',
  'LOCALHOST',
  'a.localhost',
  'localhost.',
])('%s is reached from this machine alone', (host) => {
  expect(isLoopback(host)).toBe(true);
});

test.for([
  '0.0.0.0',
  '::',
  '128.0.0.1',
  '10.0.0.1',
  'example.com',
  'localhost.example.com',
  'mylocalhost',
  '::ffff:10.0.0.1',
  '',
])('%s may be reached from other machines', (host) => {
  expect(isLoopback(host)).toBe(false);
});
