import { expect, test } from 'vitest';
import { ConfigError, hostOf, readConfig } from '../../src/config.ts';

function readProblems(environment: Record<string, string>): string {
  try {
    readConfig(environment);
    return 'accepted';
  } catch (error) {
    return error instanceof ConfigError ? error.problems.join('\n') : String(error);
  }
}

test('origins are accepted in every common notation', () => {
  for (const [text, origins] of [
    ['https://app.example.com/', ['https://app.example.com']],
    ['HTTPS://App.Example.com:443', ['https://app.example.com']],
    ['"https://a.example, https://b.example,"', ['https://a.example', 'https://b.example']],
    [`'https://a.example' ,"https://A.example/"`, ['https://a.example']],
    ['https://bücher.example:8443', ['https://xn--bcher-kva.example:8443']],
    ['http://[::1]:5173,null,capacitor://localhost', ['http://[::1]:5173', 'null', 'capacitor://localhost']],
    [' * ', ['*']],
  ] as const)
    expect(readConfig({ CORS_ORIGINS: text }).CORS_ORIGINS, text).toEqual(origins);
  expect(readConfig({ CORS_ORIGINS: '  ' }).CORS_ORIGINS).toBeUndefined();
});

test('an invalid origin is rejected with the reason', () => {
  for (const [text, reason] of [
    ['app.example.com', 'lacks its scheme: https://app.example.com'],
    ['localhost:5173', 'lacks its scheme'],
    ['https://*.example.com', 'wildcard'],
    ['https://a.example https://b.example', 'separated by commas'],
    ['https://a.example;https://b.example', 'separated by commas'],
    ['https://app.example.com/path', 'scheme, host and port alone'],
    ['https://user@app.example.com', 'scheme, host and port alone'],
    ['wss://app.example.com', 'origin of a page'],
    ['https://', 'is not an origin'],
    [',', 'at least one'],
  ] as const)
    expect(readProblems({ CORS_ORIGINS: text }), text).toContain(reason);
});

test('values are trimmed and unquoted, secrets are not', () => {
  const config = readConfig({
    AUTH_SECRET: '"sixteen characters"',
    PORT: '"4001"',
    SIGN_UP: ' off',
    HOST: '""',
    DATABASE_URL: ' "Postgres://user@host/database" ',
    REDIS_URL: "'redis://host:6379'",
    AUTH_JWKS_URL: '"https://id.example/keys"',
    AUTH_ISSUER: ' https://id.example/ ',
    AUTH_AUDIENCE: 'parley',
    STUN_URLS: '"stun:a.example:3478", stun:a.example:3478,',
    LEGACY_FORWARD_CHANNELS: "'webrtc_config','webrtc_forward'",
  });
  expect(config.HOST).toBeUndefined();
  expect(config).toMatchObject({
    AUTH_SECRET: ['"sixteen characters"'],
    PORT: 4001,
    SIGN_UP: 'off',
    DATABASE_URL: 'Postgres://user@host/database',
    REDIS_URL: 'redis://host:6379',
    AUTH_JWKS_URL: 'https://id.example/keys',
    AUTH_ISSUER: 'https://id.example/',
    STUN_URLS: ['stun:a.example:3478'],
    LEGACY_FORWARD_CHANNELS: ['webrtc_config', 'webrtc_forward'],
  });
  expect(readProblems({ REDIS_URL: 'host:6379' })).toContain('redis://host:6379');
  expect(readProblems({ AUTH_JWKS_URL: 'https://id.example/keys', AUTH_ISSUER: 'x' })).toContain(
    'AUTH_AUDIENCE: is required',
  );
  expect(readProblems({ AUTH_JWKS_URL: 'ftp://id.example/keys', AUTH_ISSUER: 'x' })).toContain(
    'AUTH_JWKS_URL: must be one URL such as https://host/keys',
  );
});

test('HOST accepts the brackets of a URL, but no port', () => {
  for (const [text, host] of [
    ['[::1]', '::1'],
    ['::', '::'],
    ['0.0.0.0', '0.0.0.0'],
    ['localhost', 'localhost'],
  ] as const)
    expect(hostOf(readConfig({ HOST: text })), text).toBe(host);
  for (const text of ['0.0.0.0:4000', '[::]:4000', 'http://localhost', 'a b'])
    expect(readProblems({ HOST: text }), text).toContain('without a port');
  expect(readProblems({ HOST: '[::1]', DEMO: 'on' })).toBe('accepted');
});
