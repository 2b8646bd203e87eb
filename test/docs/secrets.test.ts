import { createHmac } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createClient } from '@redis/client';
import { describe, expect, test } from 'vitest';
import { VARIABLES } from '../../src/config-variables.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startRedis } from '../harness/redis.ts';
import { prepareServer } from '../harness/server.ts';
import { readCommands, startDeployment } from './book.ts';
import { openSession, openSteps, readListSteps, readPage, runBesideLogins } from './rotation.ts';

// Rotates secrets with the commands of docs/operations/secrets.md, beside live clients.

const ME = '{ me { __typename } }';

const readTurnCredential = async (url: string, token: string) => {
  const { webrtc } = await createGraphqlClient(url, token).run<{
    webrtc: { iceServers: { username: string | null; credential: string | null }[] };
  }>('{ webrtc { iceServers { username credential } } }');
  return webrtc.iceServers.find(({ username }) => username !== null);
};

test('every setting that has a secret is on the page', async () => {
  const page = await readPage();
  const rows = page.split('\n').filter((line) => line.startsWith('|'));
  const secrets = Object.keys(VARIABLES).filter((name) => /SECRET|TOKEN|_URL$|_KEY$/.test(name));
  for (const name of ['MAIL_URL', 'MEDIA_S3_SECRET_ACCESS_KEY']) expect(secrets).toContain(name);
  expect(secrets.filter((name) => !rows.some((row) => row.includes(`\`${name}\``)))).toEqual([]);
});

test('a secret that the gateway has generated is replaced, and its tokens stay valid', async () => {
  await using folder = await createDataFolder();
  const settings: Record<string, string> = { DATA_DIR: folder.path };
  await using server = await prepareServer(settings);
  await server.start();
  const token = await logIn(server.url);
  await server.stop('SIGTERM');
  const generated = await readFile(join(folder.path, 'auth-secret'), 'utf8');
  settings['AUTH_SECRET'] = `second-secret-of-the-book,${generated.trim()}`;
  await server.start();
  expect(await createGraphqlClient(server.url, token).run(ME)).toEqual({ me: { __typename: 'User' } });
});

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('no user is logged out while AUTH_SECRET is replaced', { timeout: 300_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, run } = await startDeployment(stack);
    const step = await openSteps(run);
    const [first, second] = nodes;
    const token = await logIn(first.url);
    const session = openSession(stack, nodes, token);
    await session.expectLive();

    const steps = await readListSteps('AUTH_SECRET', '$(setting AUTH_SECRET)', 'second-secret-of-the-book');
    await runBesideLogins(nodes, logIn, () => step(steps.accept));
    await session.expectLive();
    await runBesideLogins(nodes, logIn, () =>
      step(steps.sign.replace('$(setting AUTH_SECRET)', 'first-secret-of-the-book')),
    );
    await session.expectLive();
    const renewed = await logIn(second.url);
    const renewedSession = openSession(stack, nodes, renewed);
    await renewedSession.expectLive();
    await runBesideLogins(nodes, logIn, () => step(steps.drop));
    await renewedSession.expectLive();
    for (const { url } of nodes)
      expect(await createGraphqlClient(url, token).expectError(ME)).toBe('UNAUTHENTICATED');
  });

  test('a session survives new secrets of TURN and of operators', { timeout: 300_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, folder, run } = await startDeployment(stack, {
      TURN_SECRET: 'first-turn-secret',
      TURN_URLS: 'turn:turn.example.com',
      ADMIN_TOKEN: 'first-admin-token',
    });
    const step = await openSteps(run);
    const token = await logIn(nodes[0].url);
    const session = openSession(stack, nodes, token);
    await session.expectLive();

    const coturn = join(folder, 'turnserver.conf');
    await writeFile(coturn, 'static-auth-secret=first-turn-secret\n');
    const expectAccepted = async (): Promise<void> => {
      const secrets = [...(await readFile(coturn, 'utf8')).matchAll(/^static-auth-secret=(.*)$/gm)];
      for (const { url } of nodes) {
        const server = await readTurnCredential(url, token);
        const valid = secrets.map(([, each = '']) =>
          createHmac('sha1', each)
            .update(server?.username ?? '')
            .digest('base64'),
        );
        expect(valid).toContain(server?.credential);
      }
    };
    const [turn = '', dropTurn = ''] = await readCommands('secrets', 'TURN_SECRET');
    await expectAccepted();
    await step(turn);
    await expectAccepted();
    await step(dropTurn);
    await expectAccepted();
    expect((await readFile(coturn, 'utf8')).trim().split('\n')).toHaveLength(1);

    const [admin] = await readCommands('secrets', 'ADMIN_TOKEN');
    await step(admin);
    const adminToken = (await step('setting ADMIN_TOKEN')).trim();
    const readMetrics = (url: string, bearer: string) =>
      fetch(`${url}/metrics`, {
        headers: { authorization: `Bearer ${bearer}`, 'x-forwarded-for': '10.0.0.1' },
      });
    for (const { url } of nodes) {
      expect((await readMetrics(url, 'first-admin-token')).status).toBe(401);
      expect((await readMetrics(url, adminToken)).status).toBe(200);
    }

    await session.expectLive();
  });

  test.skipIf(isMissing('redis-server'))(
    'the password of Redis is replaced while both nodes use it',
    { timeout: 120_000 },
    async () => {
      await using stack = new AsyncDisposableStack();
      const redis = stack.use(await startRedis());
      const admin = stack.use(await openRedis(redis.url));
      await admin.run('ACL', 'SETUSER', 'default', 'resetpass', '>first');
      const { nodes, run, folder } = await startDeployment(stack, {
        REDIS_URL: redis.url.replace('//', '//default:first@'),
      });
      const step = await openSteps(run);
      const configuration = join(folder, 'redis', 'redis.conf');
      await mkdir(dirname(configuration));
      await writeFile(configuration, 'requirepass first\n');
      const session = openSession(stack, nodes, await logIn(nodes[0].url));
      await session.expectLive();

      const [replace] = await readCommands('secrets', 'Redis password');
      await step(replace);
      await expect(openRedis(redis.url.replace('//', '//default:first@'))).rejects.toThrow('WRONGPASS');
      const [, next = ''] = /:(\w{64})@/.exec(await step('setting REDIS_URL')) ?? [];
      expect(await readFile(configuration, 'utf8')).toBe(`requirepass ${next}\n`);
      await session.expectLive();
      for (const { url } of nodes) {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        expect(metrics).toMatch(/^parley_bus_connected 1$/m);
      }
    },
  );
});

async function openRedis(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  await client.connect();
  return {
    run: (...command: string[]) => client.sendCommand(command),
    [Symbol.asyncDispose]: () => client.close(),
  };
}
