import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect, getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connectLegacy } from '../../src/testing/index.ts';
import { addressesOf } from '../deploy/cluster.ts';
import { readSample } from '../deploy/samples.ts';
import { startCaddy } from '../harness/caddy.ts';
import { createCertificate } from '../harness/certificate.ts';
import { CONVERSATION_ID, logIn, sendMessage } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';
import { findFreePort } from '../harness/ports.ts';
import type { Server } from '../harness/server.ts';
import { openTurnClient } from '../harness/turn-client.ts';
import { startTurnServer } from '../harness/turn-server.ts';
import { waitUntil } from '../harness/waiting.ts';
import { createFolder, openShell, readCommands, startDeployment } from './book.ts';
import { openSession, runBesideLogins } from './rotation.ts';

// Replaces the TLS keys of nginx, Caddy and coturn with the commands of docs/operations/secrets.md, beside live clients.

const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' };
const SUBSCRIPTION = `subscription {
  conversationEvents(conversationId: "${CONVERSATION_ID}") { __typename ... on MessageSent { message { text } } }
}`;

/** Certificates that every client of this process trusts, besides those of the system. */
function trust(stack: AsyncDisposableStack, ...certificates: string[]): void {
  const system = getCACertificates();
  setDefaultCACertificates([...system, ...certificates]);
  stack.defer(() => setDefaultCACertificates(system));
}

/** Returns the certificate that a new connection gets. */
async function readCertificate(url: string): Promise<string> {
  const { port } = new URL(url);
  const socket: TLSSocket = connect({ host: '127.0.0.1', port: Number(port), servername: 'localhost' });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.toString() ?? '';
  } finally {
    socket.destroy();
  }
}

const readBlocks = async (): Promise<string[]> => {
  const blocks = await readCommands('secrets', 'TLS key');
  expect(blocks).toHaveLength(3);
  return blocks;
};

/** Opens one connection of each transport, which never reconnects. */
async function openConnections(stack: AsyncDisposableStack, url: string, token: string) {
  const received = { webSocket: '', eventStream: '', legacy: '' };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  stack.defer(() => socket.terminate());
  socket.on('message', (data: Buffer) => (received.webSocket += data.toString()));
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { token } }));
  await waitUntil(() => received.webSocket.includes('connection_ack'));
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: SUBSCRIPTION } }));

  const abort = new AbortController();
  stack.defer(() => abort.abort());
  const headers = {
    accept: 'text/event-stream',
    'content-type': 'application/json',
    authorization: `Bearer ${token}`,
  };
  const body = JSON.stringify({ query: SUBSCRIPTION });
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body, signal: abort.signal });
  const stream = response.body?.pipeThrough(new TextDecoderStream());
  void stream
    ?.pipeTo(new WritableStream({ write: (text) => void (received.eventStream += text) }))
    .catch(() => undefined);

  const legacy = stack.use(await connectLegacy(url, { transports: ['websocket'] }));
  legacy.socket.on('message', (message: unknown) => (received.legacy += JSON.stringify(message)));
  await legacy.push('authenticate', { token });
  await legacy.push('join_conversation', { conversation_id: 1 });
  await waitUntil(() =>
    [received.webSocket, received.eventStream].every((text) => text.includes('StreamLive')),
  );
  return {
    async expectReceived(text: string): Promise<void> {
      await sendMessage(url, token, text);
      await waitUntil(() => Object.values(received).every((each) => each.includes(`"${text}"`)));
    },
  };
}

/** Starts nginx with the samples and a certificate in front of the nodes. */
async function startTlsNginx(stack: AsyncDisposableStack, etc: string, [a, b]: readonly [Server, Server]) {
  const folder = await createFolder(stack);
  const port = await findFreePort();
  const tls = readSample('nginx/parley.d/tls.conf.example', {
    'listen 443 ': `listen 127.0.0.1:${port} `,
    '/etc/': `${etc}/`,
  });
  await writeFile(join(folder, 'tls.conf'), tls);
  const nginx = await startNginxWith((plainPort) =>
    readSample('nginx/parley.conf', {
      'listen 80 ': `listen 127.0.0.1:${plainPort} `,
      '/etc/nginx/parley.d/': `${folder}/`,
      ...addressesOf(a.port, b.port),
    }),
  );
  stack.use(nginx);
  return { nginx, url: `https://localhost:${port}` };
}

async function writeCertificate(folder: string): Promise<string> {
  const { cert, key } = createCertificate('localhost');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'fullchain.pem'), cert);
  await writeFile(join(folder, 'privkey.pem'), key);
  return cert;
}

describe.skipIf(isMissing('postgresql', 'curl', 'openssl'))('rotation', { timeout: 120_000 }, () => {
  test.skipIf(isMissing('nginx'))(
    'the key of nginx is replaced while its connections stay open',
    async () => {
      await using stack = new AsyncDisposableStack();
      const reload = async (verb: string, unit: string): Promise<void> => {
        if (unit === 'nginx' && verb === 'reload') await nginx.reload();
      };
      const { nodes, run, folder } = await startDeployment(stack, BEHIND_PROXY, { systemctl: reload });
      const first = await writeCertificate(join(folder, 'nginx', 'certificates'));
      const issued = await createFolder(stack);
      const second = await writeCertificate(issued);
      trust(stack, first, second);
      const { nginx, url } = await startTlsNginx(stack, folder, nodes);
      expect(await readCertificate(url)).toBe(first);
      const connections = await openConnections(stack, url, await logIn(url));
      await connections.expectReceived('before the reload');

      const [replace = ''] = await readBlocks();
      const commands = replace.replace('nginx -t', `nginx -t -q ${nginx.options.join(' ')}`);
      await runBesideLogins([{ ...nodes[0], url }], logIn, async () => {
        await run(`cd ${issued}\n${commands}`);
        await expect.poll(() => readCertificate(url)).toBe(second);
      });
      await connections.expectReceived('after the reload');
      await (await openConnections(stack, url, await logIn(url))).expectReceived('on new connections');
    },
  );

  test.skipIf(isMissing('caddy'))('the key of Caddy is replaced, and clients lose nothing', async () => {
    await using stack = new AsyncDisposableStack();
    const reload = async (verb: string, unit: string): Promise<void> => {
      if (unit === 'caddy' && verb === 'reload') await caddy.reload();
    };
    const { nodes } = await startDeployment(stack, BEHIND_PROXY);
    const [a, b] = nodes;
    const sample = readSample('caddy/Caddyfile', addressesOf(a.port, b.port));
    const caddy = stack.use(await startCaddy(sample, 'https://localhost'));
    const { url } = caddy;
    const storage = join(caddy.home, '.local/share/caddy');
    trust(stack, await readFile(join(storage, 'pki/authorities/local/root.crt'), 'utf8'));
    const readKey = async () => /-----BEGIN[^]+/.exec(await readFile(keyFile, 'utf8'))?.[0];
    const keyFile = join(storage, 'certificates/local/localhost/localhost.key');
    await expect.poll(() => readCertificate(url).catch(() => '')).toContain('CERTIFICATE');
    const [first, key] = [await readCertificate(url), await readKey()];
    const front = { ...a, url };
    const session = openSession(stack, [front], await logIn(url));
    await session.expectLive();

    const [, replace = ''] = await readBlocks();
    const run = await openShell(
      stack,
      reload,
      {},
      {
        '/var/lib/caddy': caddy.home,
        'chat.example.com': 'localhost',
      },
    );
    await runBesideLogins([front], logIn, async () => {
      await run(replace);
      await expect.poll(() => readCertificate(url).catch(() => first)).not.toBe(first);
    });
    expect(await readKey()).not.toBe(key);
    await session.expectLive();
  });

  test.skipIf(isMissing('turnserver', 'turnutils_stunclient'))(
    'the certificate of coturn is replaced without the end of a call',
    async () => {
      await using stack = new AsyncDisposableStack();
      const etc = await createFolder(stack);
      const certificates = join(etc, 'coturn', 'certificates');
      const first = await writeCertificate(certificates);
      const issued = await createFolder(stack);
      const second = await writeCertificate(issued);
      trust(stack, first, second);
      const port = await findFreePort();
      const sample = readSample('coturn/turnserver.conf', {
        'listening-port=3478\ntls-listening-port=5349\n': `tls-listening-port=${port}\n`,
        'min-port=49152\nmax-port=65535\n': '',
        'log-file=stdout\n': '',
        'use-auth-secret\n': 'lt-cred-mech\nuser=ann:password\n',
        '/etc/': `${etc}/`,
      });
      const coturn = stack.use(
        await startTurnServer(`${sample}\nrealm=turn.test\nallowed-peer-ip=127.0.0.1`),
      );
      const url = `https://localhost:${port}`;
      expect(await readCertificate(url)).toBe(first);
      const call = stack.use(await openTurnClient(coturn.port, 'ann', 'password'));

      const [, , replace = ''] = await readBlocks();
      const systemctl = async (verb: string, unit: string): Promise<void> => {
        if (unit === 'coturn' && verb === 'kill') coturn.reloadCertificate();
      };
      // Only root may give files to another group.
      const run = await openShell(stack, systemctl, {}, { '/etc/': `${etc}/`, '--group=turnserver': '' });
      await run(`cd ${issued}\n${replace}`);
      await expect.poll(() => readCertificate(url)).toBe(second);
      expect(await call.permit('127.0.0.1')).toBe('allowed');
    },
  );
});
