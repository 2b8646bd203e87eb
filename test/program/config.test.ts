import { expect, test } from 'vitest';
import { isLoopback, readConfig } from '../../src/config.ts';

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
])('%s is a loopback address', (host) => {
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
])('%s is not a loopback address', (host) => {
  expect(isLoopback(host)).toBe(false);
});

test.for([
  ['one secret of the tests', ['one secret of the tests']],
  [
    'a new secret of the tests, an old secret of the tests',
    [
      'a new secret of the tests',
      'an old secret of the tests',
      'a new secret of the tests, an old secret of the tests',
    ],
  ],
  ['a secret of the tests, long enough', ['a secret of the tests, long enough']],
  ['a secret of the tests,', ['a secret of the tests', 'a secret of the tests,']],
] as const)('AUTH_SECRET=%s is parsed as a list whose first secret signs', ([text, secrets]) => {
  expect(readConfig({ AUTH_SECRET: text }).AUTH_SECRET).toEqual(secrets);
});

test('a secret that is too short is rejected', () => {
  expect(() => readConfig({ AUTH_SECRET: 'too short' })).toThrow(
    'AUTH_SECRET: must have at least 16 characters',
  );
});

// Values as env files and copied lines contain them.
test.for([
  ['PORT', '"4001"', 4001],
  ['PORT', ' 4001\r', 4001],
  ['PORT', '""', 4000],
  ['HOST', " '127.0.0.1' ", '127.0.0.1'],
  ['DATA_DIR', '"./other"', './other'],
  ['RATE_LIMITS', 'OFF ', 'off'],
  ['LOG_LEVEL', '"Warn"', 'warn'],
  ['OPERATIONS', "'any'", 'any'],
  ['EVENT_RETENTION_DAYS', '\t30\n', 30],
] as const)('%s=%j is accepted', ([name, text, value]) => {
  expect(readConfig({ [name]: text })[name]).toBe(value);
});

test.for([
  ['DEMO', 'true', 'DEMO: must be on or off'],
  ['LOG_LEVEL', 'trace', 'LOG_LEVEL: must be silent, error, warn, info or debug'],
  ['PORT', '4000 5000', 'PORT: must be a whole number'],
])('%s=%s is rejected with the accepted values', ([name = '', text, message = '']) => {
  expect(() => readConfig({ [name]: text })).toThrow(message);
});

test('DEMO=on is accepted with a quoted loopback address', () => {
  expect(readConfig({ DEMO: 'on', HOST: '"localhost"' })).toMatchObject({ DEMO: 'on', HOST: 'localhost' });
});
