import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';

const SECRET = 'a secret of the tests';

/** Starts coturn as operators do, with `use-auth-secret`, on the loopback interface only. */
async function startTurnServer() {
  const port = await findFreePort();
  const dir = await mkdtemp(join(tmpdir(), 'parley-turn-'));
  const config = join(dir, 'turn.conf');
  const settings = {
    'listening-ip': '127.0.0.1',
    'relay-ip': '127.0.0.1',
    'listening-port': port,
    'min-port': 11_000,
    'max-port': 11_999,
    'static-auth-secret': SECRET,
    realm: 'turn.test',
    pidfile: join(dir, 'turn.pid'),
    userdb: join(dir, 'turndb'),
    'log-file': 'stdout',
  };
  const flags = ['use-auth-secret', 'fingerprint', 'no-tls', 'no-dtls', 'no-cli', 'allow-loopback-peers'];
  await writeFile(
    config,
    [...flags, ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)].join('\n'),
  );
  const server = spawn(requireProgram('turnserver'), ['-c', config], { cwd: dir });
  const exit = once(server, 'exit');
  server.stdout.resume();
  // coturn buffers its output, so only a STUN answer shows that it is ready.
  await vi.waitFor(() => requestStun(port), { timeout: 20_000 });
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await exit;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function requestStun(port: number): Promise<void> {
  const args = ['-p', String(port), '127.0.0.1'];
  await promisify(execFile)(requireProgram('turnutils_stunclient'), args, { timeout: 1000 });
}

/** Returns whether an allocation with these credentials relays packets to itself and back. */
async function isRelayed(port: number, username: string, password: string): Promise<boolean> {
  const args = [
    '-u',
    username,
    '-w',
    password,
    '-p',
    String(port),
    '-y',
    '-n',
    '3',
    '-m',
    '1',
    '-l',
    '64',
    '127.0.0.1',
  ];
  try {
    const { stdout } = await promisify(execFile)(requireProgram('turnutils_uclient'), args, {
      timeout: 15_000,
    });
    return /Total lost packets 0/.test(stdout);
  } catch {
    return false;
  }
}

describe.skipIf(isMissing('turnserver', 'turnutils_uclient', 'turnutils_stunclient'))(
  'TURN credentials',
  () => {
    test('are accepted by coturn, over either API, and only with the right secret', async () => {
      await using turnServer = await startTurnServer();
      await using app = await startTestApp({
        env: { TURN_SECRET: `${SECRET},an older secret`, TURN_URLS: `turn:127.0.0.1:${turnServer.port}` },
      });
      const ann = await app.createAccount();
      const { webrtc } = await ann.graphql.run<{
        webrtc: { credentials: { username: string; password: string } };
      }>('{ webrtc { credentials { username password } } }');
      const legacyClient = await ann.connectLegacy();
      legacyClient.emit('webrtc_credentials');
      const legacyCredentials = await legacyClient.expect<{ username: string; password: string }>(
        'webrtc_config',
      );
      const { username, password } = webrtc.credentials;
      const results = [
        isRelayed(turnServer.port, username, password),
        isRelayed(turnServer.port, legacyCredentials.username, legacyCredentials.password),
        isRelayed(turnServer.port, username, 'wrong'),
        isRelayed(turnServer.port, `9${username}`, password),
      ];
      expect(await Promise.all(results)).toEqual([true, true, false, false]);
    }, 60_000);
  },
);
