import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request as send } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCaddy } from '../harness/caddy.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import type { Proxy } from '../harness/nginx.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { connectLegacy } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import { PROXIES, addressesOf, createConversationOf, sidOf, startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { DEPLOY, readSample } from './samples.ts';
import { countingServer } from './counting-server.ts';

// The nginx and Caddy samples in front of two nodes, with only ports and addresses replaced.

const MAX_UPLOAD_BYTES = 200_000;
/** Shorter than the heartbeat interval of event streams, which would flush what a proxy buffers. */
const DEADLINE_MS = 6_000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES), LOG_LEVEL: 'warn' });
});
afterAll(() => cluster[Symbol.asyncDispose]());

describe.for(['nginx', 'caddy'] as const)('%s', (name) => {
  describe.skipIf(isMissing(name))('with the sample', { timeout: 60_000 }, () => {
    let proxy: Proxy;
    let ann: TestAccount;
    let bob: TestAccount;
    let conversation: Entity;
    beforeAll(async () => {
      const { a, b } = cluster.nodes;
      proxy = await PROXIES[name](a.port, b.port);
      ({ ann, bob, conversation } = await createConversationOf(proxy.url));
    });
    afterAll(async () => {
      for (const account of [ann, bob]) await account[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    });

    const joinConversation = async (
      client: Awaited<ReturnType<typeof connectLegacy>>,
      account: TestAccount,
    ) => {
      await client.push('authenticate', { token: account.token });
      await client.push('join_conversation', { conversation_id: conversation.legacyId });
      return client;
    };

    test.for(['1.3.7', '2.5.0', '4.8.4'] as const)(
      'polling clients %s stay on their nodes, without cookies',
      async (version) => {
        await using stack = new AsyncDisposableStack();
        const nodes = new Set<string>();
        const clients = [];
        for (let count = 0; count < 4; count += 1) {
          const client = stack.use(
            await connectLegacy(proxy.url, { io: loadClient(version) as never, transports: ['polling'] }),
          );
          clients.push(await joinConversation(client, bob));
          nodes.add(sidOf(client).split('.', 1)[0] ?? '');
        }
        expect([...nodes].toSorted()).toEqual(['a', 'b']);
        for (const text of ['one', 'two', 'three']) {
          await sendMessage(ann, conversation, text);
          for (const client of clients)
            expect(await client.expect('message')).toMatchObject({ message: { content: text } });
        }
      },
    );

    test('a client that begins with polling upgrades to WebSocket', async () => {
      await using client = await connectLegacy(proxy.url);
      const { engine } = (client.socket as unknown as { io: { engine: Engine } }).io;
      if (engine.transport.name !== 'websocket')
        await new Promise<void>((resolve) => engine.on('upgrade', () => resolve()));
      await joinConversation(client, bob);
      await sendMessage(ann, conversation, 'upgraded');
      expect(await client.expect('message')).toMatchObject({ message: { content: 'upgraded' } });
    });

    test('graphql-ws subscriptions pass', async () => {
      const events = await bob.subscribeToConversation(conversation.id);
      await sendMessage(ann, conversation, 'over graphql-ws');
      expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'over graphql-ws' } });
      events.unsubscribe();
    });

    test('events of Server-Sent Events pass without delay', async () => {
      const abort = new AbortController();
      const response = await fetch(`${proxy.url}/graphql`, {
        method: 'POST',
        signal: AbortSignal.any([abort.signal, AbortSignal.timeout(DEADLINE_MS)]),
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${bob.token}`,
        },
        body: JSON.stringify({
          query: `subscription { conversationEvents(conversationId: "${conversation.id}") {
            __typename ... on MessageSent { message { text } } } }`,
        }),
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let received = '';
      const readUntil = async (pattern: RegExp): Promise<void> => {
        while (!pattern.test(received)) received += (await reader?.read())?.value ?? '';
      };
      await readUntil(/"StreamLive"[^\n]*\n\n$/);
      for (const text of ['first', 'second']) {
        await sendMessage(ann, conversation, text);
        await readUntil(new RegExp(`"${text}"[^\\n]*\\n\\n$`));
      }
      abort.abort();
    });

    test('uploads and downloads pass, and too large ones are refused by Parley', async () => {
      const upload = async (content: Buffer) => {
        const { sendMessage: sent } = await sendMessage(ann, conversation, 'file', ['a.bin']);
        const form = new FormData();
        form.set('file', new Blob([new Uint8Array(content)]), 'a.bin');
        const legacyId = sent.media[0]?.legacyId;
        const response = await fetch(`${proxy.url}/media/upload/${legacyId}`, {
          method: 'POST',
          headers: { authorization: ann.token },
          body: form,
        });
        return { legacyId, status: response.status, text: await response.text() };
      };
      const content = Buffer.alloc(MAX_UPLOAD_BYTES - 1_000, 'content');
      const { legacyId, ...uploaded } = await upload(content);
      expect(uploaded).toMatchObject({ status: 200 });
      const download = await fetch(`${proxy.url}/media/${legacyId}`, {
        headers: { authorization: `Bearer ${bob.token}` },
      });
      expect(Buffer.from(await download.arrayBuffer()).equals(content)).toBe(true);

      const tooLarge = await upload(Buffer.alloc(4 * MAX_UPLOAD_BYTES));
      expect(tooLarge.status).toBe(400);
      expect(tooLarge.text).not.toMatch(/nginx|caddy/i);
    });

    test.for([
      '/metrics',
      '/metrics/',
      '/metrics?x',
      '//metrics',
      '/%6Detrics',
      '/x/../metrics',
      '/x/%2e%2e/metrics',
      '/%2Fmetrics',
      '\\metrics',
      '/\\metrics',
      '/x\\..\\metrics',
      '/%5Cmetrics',
      'http://127.0.0.1/metrics',
      '/metrics#x',
      '/legacy-report',
      '/admin',
      '/admin/graphql',
    ])('%s is not public', async (target) => {
      const response = await sendRaw(proxy.url, target);
      expect(response).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(response).not.toMatch(/^HTTP\/1\.1 401 /);
      expect(response).not.toContain('parley_');
    });

    test('the routes of clients are public', async () => {
      for (const path of ['/', '/healthz', '/readyz', '/channels'])
        expect([path, (await fetch(`${proxy.url}${path}`)).status]).toEqual([path, 200]);
    });

    test('nodes learn the address of a client, whatever it claims', async () => {
      const printed = (): string => cluster.nodes.a.printed() + cluster.nodes.b.printed();
      const query = 'mutation { login(email: "unknown@example.com", password: "wrong password") { token } }';
      const request = send(`${proxy.url}/graphql`, {
        method: 'POST',
        localAddress: '127.0.0.9',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': '198.51.100.7' },
      });
      request.end(JSON.stringify({ query }));
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
      await readText(response);
      await expect.poll(() => printed()).toContain('"event":"login failed"');
      expect(printed()).toContain('"address":"127.0.0.9"');
      expect(printed()).not.toContain('198.51.100.7');
    });

    test('a POST that was sent is never repeated', async () => {
      await using backend = await countingServer();
      await using front = await PROXIES[name](backend.port, backend.port);
      for (const path of ['/graphql?close', '/socket.io/?sid=a.x&close', '/graphql?status=503'])
        await fetch(`${front.url}${path}`, { method: 'POST', body: 'a body' }).then((r) => r.text());
      expect(backend.counts).toEqual({
        'POST /graphql?close': 1,
        'POST /socket.io/?sid=a.x&close': 1,
        'POST /graphql?status=503': 1,
      });
    });
  });
});

describe.skipIf(isMissing('caddy'))('the Caddyfile', () => {
  test('passes new clients to nodes that are all not ready, as the database restarts', async () => {
    await using backend = await countingServer({ isReady: false });
    const sample = readSample('caddy/Caddyfile', {
      'health_interval 2s': 'health_interval 100ms',
      'lb_try_duration 5s': 'lb_try_duration 100ms',
      ...addressesOf(backend.port, backend.port),
    });
    await using caddy = await startCaddy(sample);
    // The first check has had its effect.
    await expect.poll(() => backend.counts['GET /readyz']).toBeGreaterThan(4);
    for (const [method, path] of [
      ['GET', '/graphql'],
      ['POST', '/graphql?status=400'],
    ] as const)
      await fetch(`${caddy.url}${path}`, { method, ...(method === 'POST' && { body: 'a body' }) });
    expect(backend.counts).toMatchObject({ 'GET /graphql': 1, 'POST /graphql?status=400': 1 });
    expect((await fetch(`${caddy.url}/metrics`)).status).toBe(404);
  });

  test('is valid with a host name, for which Caddy gets a certificate', () => {
    const { stderr, status } = spawnSync(
      requireProgram('caddy'),
      ['adapt', '--adapter', 'caddyfile', '--validate', '--config', join(DEPLOY, 'caddy', 'Caddyfile')],
      { encoding: 'utf8', env: { SITE_ADDRESS: 'chat.example.com', HOME: '/nonexistent' } },
    );
    expect([stderr, status]).toEqual([expect.not.stringContaining('"level":"error"'), 0]);
  });
});

interface Engine {
  readonly transport: { readonly name: string };
  on(event: string, listener: () => void): void;
}

/** Sends a request whose target no client library normalises. Returns the response. */
async function sendRaw(url: string, target: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: close\r\n\r\n`);
  return readText(socket);
}
