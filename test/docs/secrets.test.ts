import { createHmac } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_EVENTS, openClient, subscribe } from '../client/subscriptions.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startRedis } from '../harness/redis.ts';
import type { Server } from '../harness/server.ts';
import { readCommands, startDeployment } from './book.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// Rotates secrets with the commands of docs/operations/secrets.md, beside live clients.

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const ME = '{ me { __typename } }';

/** Opens a subscription on each node with a token. Its messages must arrive on both, once and in order. */
function openSession(stack: AsyncDisposableStack, nodes: readonly Server[], token: string) {
  const texts: string[] = [];
  const subscriptions = nodes.map(({ url }) => {
    const options = { retryDelay: () => 200 };
    const client = openClient('graphql-ws', url, token, options, { retryAttempts: 0 });
    stack.defer(() => client.dispose());
    return subscribe(client, { query: CONVERSATION_EVENTS, variables: { id: CONVERSATION_ID } });
  });
  const clients = nodes.map(({ url }) => createGraphqlClient(url, token));
  return {
    async expectLive(): Promise<void> {
      for (const subscription of subscriptions)
        await subscription.waitUntil(() => subscription.events.length > 0);
      for (const client of clients) {
        const text = `message ${texts.length}`;
        await client.run(SEND, { id: CONVERSATION_ID, text });
        texts.push(text);
      }
      for (const subscription of subscriptions) {
        await subscription.waitUntil(() => subscription.texts().length >= texts.length, 30_000);
        expect(subscription.texts()).toEqual(texts);
        expect(subscription.end).toBeUndefined();
      }
    },
  };
}

const readTurnCredential = async (url: string, token: string) => {
  const { webrtc } = await createGraphqlClient(url, token).run<{
    webrtc: { iceServers: { username: string | null; credential: string | null }[] };
  }>('{ webrtc { iceServers { username credential } } }');
  return webrtc.iceServers.find(({ username }) => username !== null);
};

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('no secret logs anyone out while it is replaced', { timeout: 300_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, folder, run, postgres } = await startDeployment(stack, {
      TURN_SECRET: 'first-turn-secret',
      TURN_URLS: 'turn:turn.example.com',
      ADMIN_TOKEN: 'first-admin-token',
    });
    const [definitions = ''] = findCodeBlocks(await readProjectFile('docs/operations/secrets.md'), 'sh');
    const step = (commands = '') => run(`${definitions}${commands}`);
    const [first, second] = nodes;
    const token = await logIn(first.url);
    const session = openSession(stack, nodes, token);
    await session.expectLive();

    const [rotate = '', drop = ''] = await readCommands('secrets', 'AUTH_SECRET and AUTH_DEVICE_SECRET');
    const [names = '', accept = '', sign = ''] = rotate.split(/^(?=rotate)/m);
    const secret = 'NEW=second-secret-of-the-book\n';
    await step(`${names}${secret}${accept}`);
    await session.expectLive();
    await step(`OLD=first-secret-of-the-book ${secret}${sign}`);
    await session.expectLive();
    const renewed = await logIn(second.url);
    const renewedSession = openSession(stack, nodes, renewed);
    await renewedSession.expectLive();
    await step(`${secret}${drop}`);
    await renewedSession.expectLive();
    for (const { url } of nodes)
      expect(await createGraphqlClient(url, token).expectError(ME)).toBe('UNAUTHENTICATED');

    const coturn = join(folder, 'turnserver.conf');
    await writeFile(coturn, 'static-auth-secret=first-turn-secret\n');
    const expectAccepted = async (): Promise<void> => {
      const secrets = [...(await readFile(coturn, 'utf8')).matchAll(/^static-auth-secret=(.*)$/gm)];
      for (const { url } of nodes) {
        const server = await readTurnCredential(url, renewed);
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
    await step(`OLD=first-turn-secret\n${dropTurn}`);
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

    const [password] = await readCommands('secrets', 'Database password');
    await step(password);
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    const { rows } = await client.query<{ usename: string }>(
      "select distinct usename from pg_stat_activity where datname = 'parley'",
    );
    await client.end();
    expect(rows).toEqual([{ usename: expect.stringMatching(/^parley_\d{8}$/) }]);
    await renewedSession.expectLive();
  });

  test.skipIf(isMissing('redis-server'))(
    'the password of Redis is replaced while both nodes use it',
    { timeout: 120_000 },
    async () => {
      await using stack = new AsyncDisposableStack();
      const redis = stack.use(await startRedis());
      const admin = stack.use(await openRedis(redis.url));
      await admin.run('ACL', 'SETUSER', 'default', 'resetpass', '>first');
      const { nodes, run } = await startDeployment(stack, {
        REDIS_URL: redis.url.replace('//', '//default:first@'),
      });
      const [definitions = ''] = findCodeBlocks(await readProjectFile('docs/operations/secrets.md'), 'sh');
      const session = openSession(stack, nodes, await logIn(nodes[0].url));
      await session.expectLive();

      const [replace = ''] = await readCommands('secrets', 'Redis password');
      await run(`${definitions}${replace}`);
      await admin.run('ACL', 'SETUSER', 'default', '<first');
      await expect(openRedis(redis.url.replace('//', '//default:first@'))).rejects.toThrow('WRONGPASS');
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
