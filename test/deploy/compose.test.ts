import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';
import { ROOT, SHELL_PATH, startProgram, waitForOutput } from '../harness/program.ts';
import { DEPLOY, NODE_ADDRESSES, readSample } from './samples.ts';

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: Readonly<Record<string, { ipv4_address?: string }>>;
  readonly network_mode?: string;
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: unknown;
  readonly command?: readonly string[];
  readonly ulimits?: { nofile: number };
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly user?: string;
  readonly group_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
}

/** Runs generate-env.sh in a copy of the folder, and returns the file that it wrote. */
async function generateEnv(...args: string[]) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'parley-env-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const script = join(folder, 'generate-env.sh');
  await cp(join(DEPLOY, 'generate-env.sh'), script);
  execFileSync('sh', [script, ...args]);
  const text = await readFile(join(folder, '.env'), 'utf8');
  const modeOf = async (name: string) => (await stat(join(folder, name))).mode & 0o777;
  const modes = { env: await modeOf('.env'), certificates: await modeOf('certificates') };
  const again = spawnSync('sh', [script, ...args], { encoding: 'utf8' });
  return {
    text,
    modes,
    again: again.status,
    after: await readFile(join(folder, '.env'), 'utf8'),
  };
}

const parseEnv = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

/** Returns compose.yaml as Compose reads it with the variables. Throws for one that is missing. */
function readCompose(env: Readonly<Record<string, string>>): Record<string, Service> {
  const text = readSample('compose.yaml').replaceAll(
    /\$\$|\$\{(\w+)(:\?[^}]*|-)?\}/g,
    (match, name: string | undefined, rest: string | undefined) => {
      if (name === undefined) return '$';
      const value = env[name];
      if (rest?.startsWith(':?') === true && (value ?? '') === '') throw new Error(`${name} ${match}`);
      return value ?? '';
    },
  );
  return (parse(text, { merge: true }) as { services: Record<string, Service> }).services;
}

const env = parseEnv((await generateEnv('chat.example.com', '198.51.100.7')).text);
const services = readCompose(env);
const nodes = [services['parley-a'], services['parley-b']].filter((node) => node !== undefined);

test('compose.yaml is valid', () => {
  const linter = join(ROOT, 'node_modules', 'dclint', 'bin', 'dclint.cjs');
  // The order of keys is ours, and nginx is meant to be reached.
  const disabled = [
    'service-keys-order',
    'services-alphabetical-order',
    'top-level-properties-order',
    'no-unbound-port-interfaces',
  ].flatMap((rule) => ['--disable-rule', rule]);
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [linter, join(DEPLOY, 'compose.yaml'), ...disabled],
    { encoding: 'utf8' },
  );
  expect([stdout.trim(), stderr.trim(), status]).toEqual(['', '', 0]);
});

test('generate-env.sh writes secrets that differ, for its owner alone, and never twice', async () => {
  const { text, modes, again, after } = await generateEnv('chat.example.com');
  const secrets = Object.values(parseEnv(text)).filter((value) => /^[0-9a-f]{64}$/.test(value));
  expect(new Set(secrets).size).toBe(6);
  expect(modes.env).toBe(0o600);
  expect(again).not.toBe(0);
  expect(after).toBe(text);
  expect(spawnSync('sh', [join(DEPLOY, 'generate-env.sh')]).status).toBe(2);
});

test('nginx and coturn may read the key of the certificate, as the README installs it', async () => {
  const { modes } = await generateEnv('chat.example.com');
  expect(modes.certificates).toBe(0o755);
  const [, group = ''] =
    /--mode 0640 --group (\d+) privkey\.pem certificates/.exec(readSample('README.md')) ?? [];
  expect(services['nginx']?.group_add).toEqual([group]);
  expect(services['coturn']?.user).toBe(`${group}:${group}`);
});

test('a service without capabilities has those without which its image does not start', () => {
  const needed: Readonly<Record<string, readonly string[]>> = {
    // A master process as root, which owns the folders of its workers, and starts these as another user.
    nginx: ['CHOWN', 'NET_BIND_SERVICE', 'SETGID', 'SETUID'],
    // A capability of the file `turnserver`.
    coturn: ['NET_BIND_SERVICE'],
  };
  const restricted = Object.entries(services).filter(
    ([, service]) => service.cap_drop?.includes('ALL') === true,
  );
  expect(restricted.map(([name]) => name)).toEqual(['parley-a', 'parley-b', 'nginx', 'redis', 'coturn']);
  for (const [name, service] of restricted) expect([name, service.cap_add]).toEqual([name, needed[name]]);
  // The image begins as root only to change to this user.
  expect(services['redis']?.user).toBe('redis');
});

test('each node has settings that Parley accepts, and they differ by the name alone', () => {
  const [a, b] = nodes.map(({ environment }) => readConfig({ HOST: '0.0.0.0', ...environment }));
  expect(a).toMatchObject({
    DATABASE_URL: `postgres://parley:${env['POSTGRES_PASSWORD']}@postgres:5432/parley`,
    REDIS_URL: `redis://default:${env['REDIS_PASSWORD']}@redis:6379`,
    NODE_NAME: 'a',
    TURN_SECRET: [env['TURN_SECRET']],
    TURN_URLS: ['turn:chat.example.com:3478?transport=udp', 'turn:chat.example.com:3478?transport=tcp'],
  });
  expect(b).toEqual({ ...a, NODE_NAME: 'b' });
});

test('a missing secret is refused', () => {
  for (const name of ['AUTH_SECRET', 'POSTGRES_PASSWORD', 'TURN_SECRET_OTHER'])
    expect(() => readCompose({ ...env, [name]: '' })).toThrow(name);
});

test('only nginx and coturn can be reached', () => {
  const published = Object.entries(services).filter(
    ([, { ports, network_mode: mode }]) => ports !== undefined || mode !== undefined,
  );
  expect(published.map(([name]) => name)).toEqual(['nginx', 'coturn']);
  expect(services['nginx']?.ports).toEqual(['80:80', '443:443']);
  for (const name of ['postgres', 'redis']) expect(services[name]?.networks).toEqual(['backend']);
});

test('the addresses are those of the nginx sample, and nodes trust that of nginx', () => {
  const addressOf = (name: string) => services[name]?.networks?.['frontend']?.ipv4_address;
  expect([addressOf('parley-a'), addressOf('parley-b')].map((address) => `${address}:4000`)).toEqual(
    Object.values(NODE_ADDRESSES),
  );
  for (const node of nodes) expect(node.environment?.['TRUSTED_PROXIES']).toBe(addressOf('nginx'));
});

test('services wait for those that they need to be healthy', () => {
  for (const [name, { depends_on: needed = {} }] of Object.entries(services))
    for (const [other, { condition }] of Object.entries(needed)) {
      expect([name, condition]).toEqual([name, 'service_healthy']);
      // That of the nodes is in the image.
      if (!other.startsWith('parley-')) expect(services[other]?.healthcheck).toBeDefined();
    }
});

test('mounted files exist, or are named in .gitignore as made by the operator', async () => {
  const ignored = await readFile(join(ROOT, '.gitignore'), 'utf8');
  const mounted = Object.values(services)
    .flatMap(({ volumes = [] }) => volumes)
    .flatMap((volume) => /^\.\/([^:]+):/.exec(volume)?.[1] ?? []);
  expect(mounted.length).toBeGreaterThan(3);
  for (const path of mounted)
    expect([path, existsSync(join(DEPLOY, path)) || ignored.includes(`/deploy/${path}/`)]).toEqual([
      path,
      true,
    ]);
});

describe.skipIf(isMissing('redis-server'))('the script of Redis', () => {
  test('starts a server that requires the password and stores nothing', async () => {
    const port = await findFreePort();
    const script = services['redis']?.command?.[0] ?? '';
    const { environment = {} } = services['redis'] ?? {};
    await using server = startProgram(
      ['sh', '-c', script.replace('redis-server -', `redis-server - --port ${port} --bind 127.0.0.1`)],
      { ...environment, PATH: SHELL_PATH },
      tmpdir(),
    );
    await waitForOutput(server.child, /Ready to accept connections/);
    const url = `redis://default:${env['REDIS_PASSWORD']}@127.0.0.1:${port}`;
    const client = createClient({ url });
    await client.connect();
    expect(await client.configGet(['save', 'appendonly'])).toEqual({ save: '', appendonly: 'no' });
    client.destroy();
    const stranger = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: false } });
    await expect(stranger.connect()).rejects.toThrow('NOAUTH');
  });
});

test('coturn has both secrets, and none of them on its command line', async () => {
  const script = services['coturn']?.command?.[0] ?? '';
  expect(script).not.toContain(env['TURN_SECRET']);
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'parley-coturn-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const local = script
    .replaceAll('/etc/coturn/turnserver.conf', join(DEPLOY, 'coturn', 'turnserver.conf'))
    .replaceAll('/tmp/turnserver.conf', join(folder, 'turnserver.conf'))
    .replace('exec turnserver -c', 'exec cat');
  const written = execFileSync('sh', ['-c', local], {
    encoding: 'utf8',
    env: { ...services['coturn']?.environment },
  });
  expect(written).toBe(
    [
      readSample('coturn/turnserver.conf').trimEnd(),
      'realm=chat.example.com',
      `static-auth-secret=${env['TURN_SECRET']}`,
      `static-auth-secret=${env['TURN_SECRET_OTHER']}`,
      'external-ip=198.51.100.7',
      '',
    ].join('\n'),
  );
});
