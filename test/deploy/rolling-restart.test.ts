import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion } from '../clients/load.ts';
import { startCaddy } from '../harness/caddy.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';
import { SHELL_PATH, startProgram } from '../harness/program.ts';
import { pause } from '../harness/waiting.ts';
import { addressesOf, createConversationOf, startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { DEPLOY, readSample, replaceAll } from './samples.ts';
import type { NodeName } from './samples.ts';

// Both nodes are restarted while clients of all kinds read: nothing is refused, lost, repeated or reordered.

const EVENTS = /* GraphQL */ `
  subscription ($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message {
          text
        }
      }
    }
  }
`;

/** A client that reconnects as its library does. */
interface Reader extends Disposable {
  /** Texts of the messages in the order of their arrival. */
  readonly texts: readonly string[];
}

function openGraphqlReader(url: string, { token }: TestAccount, conversation: Entity): Reader {
  const texts: string[] = [];
  const client = resumable(
    createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { token },
    }),
  );
  client.subscribe(
    { query: EVENTS, variables: { id: conversation.id } },
    {
      next({ data }) {
        const event = data?.['conversationEvents'] as { message?: { text: string } } | undefined;
        if (event?.message !== undefined) texts.push(event.message.text);
      },
      error: (error) => texts.push(`error: ${JSON.stringify(error)}`),
      complete: () => texts.push('complete'),
    },
  );
  return { texts, [Symbol.dispose]: () => void client.dispose() };
}

function openLegacyReader(
  url: string,
  { token }: TestAccount,
  conversation: Entity,
  version: ClientVersion,
  transport: 'polling' | 'websocket',
): Reader {
  const texts: string[] = [];
  let lastId: number | undefined;
  const socket = loadClient(version)(url, {
    forceNew: true,
    transports: [transport],
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
  });
  socket.on('connect', () => socket.emit('authenticate', { token }));
  socket.on('success', (reply) => {
    if (reply !== 'User authenticated') return;
    const after = lastId === undefined ? {} : { after_message_id: lastId };
    socket.emit('join_conversation', { conversation_id: conversation.legacyId, ...after });
  });
  socket.on('message', (frame) => {
    const { message } = frame as { message: { id: number; content: string } };
    // A replay may repeat what the client has received already.
    if (lastId !== undefined && message.id <= lastId) return;
    lastId = message.id;
    texts.push(message.content);
  });
  return { texts, [Symbol.dispose]: () => void socket.close() };
}

const SEND = /* GraphQL */ `
  mutation ($id: ID!, $text: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $text) {
      message {
        id
      }
    }
  }
`;

/**
 * Sends a message as a client does whose connection is closed: a proxy that reloads closes idle ones, also while a request
 * is on its way. The key makes the repetition harmless.
 */
async function sendOnce({ graphql }: TestAccount, { id }: Entity, text: string): Promise<void> {
  const send = () => graphql.run(SEND, { id, text });
  await send().catch((error: unknown) => {
    if (!(error instanceof TypeError)) throw error;
    return send();
  });
}

/** Sends messages through the proxy while the nodes are restarted, and compares what the readers received. */
async function expectNothingLost(url: string, restart: () => Promise<void>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { ann, bob, conversation } = await createConversationOf(url);
  stack.use(ann);
  stack.use(bob);
  const readers = [
    openGraphqlReader(url, bob, conversation),
    openLegacyReader(url, bob, conversation, '1.3.7', 'polling'),
    openLegacyReader(url, bob, conversation, '4.8.4', 'polling'),
    openLegacyReader(url, bob, conversation, '4.8.4', 'websocket'),
  ].map((reader) => stack.use(reader));
  const sent: string[] = [];
  const send = async (): Promise<void> => {
    const text = `n${sent.length}`;
    await sendOnce(ann, conversation, text);
    sent.push(text);
  };
  await expect
    .poll(async () => {
      await send();
      return readers.filter(({ texts }) => texts.length > 0).length;
    })
    .toBe(readers.length);
  let isRestarted = false;
  const restarted = restart().finally(() => (isRestarted = true));
  while (!isRestarted) {
    await send();
    await pause(10);
  }
  await restarted;
  await send();
  for (const { texts } of readers) {
    await expect.poll(() => texts.at(-1), { timeout: 30_000 }).toBe(sent.at(-1));
    // A reader begins with the first message after it was live.
    expect(texts).toEqual(sent.slice(sent.indexOf(texts[0] ?? '')));
  }
}

const SETTINGS = { DRAIN_DELAY_MS: '500', DRAIN_SPREAD_MS: '500' };

async function restart({ nodes }: Cluster, name: NodeName): Promise<void> {
  await nodes[name].stop('SIGTERM');
  await nodes[name].start();
}

describe.skipIf(isMissing('nginx'))('behind nginx', { timeout: 120_000 }, () => {
  test('rolling-restart.sh restarts the nodes without an interruption', async () => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await startCluster(SETTINGS));
    const { folder, conf, nginx, reload } = await startSampleNginx(stack, cluster);
    await cp(join(DEPLOY, 'rolling-restart.sh'), join(folder, 'rolling-restart.sh'));
    const commands: string[] = [];
    const engine = stack.use(
      await startProgramOf(folder, 'docker', async (command) => {
        commands.push(command);
        if (command.endsWith('-s reload')) await reload();
        const [, name] = / --wait parley-([ab])$/.exec(command) ?? [];
        if (name === undefined) return;
        expect(await readFile(conf, 'utf8')).toMatch(new RegExp(`max_fails=0 down; # ${name}$`, 'm'));
        await restart(cluster, name as NodeName);
      }),
    );
    const before = await readFile(conf, 'utf8');
    await expectNothingLost(nginx.url, async () => {
      const script = spawn('sh', [join(folder, 'rolling-restart.sh'), '--build'], {
        env: { PATH: `${engine.folder}:${SHELL_PATH}` },
        stdio: 'inherit',
      });
      expect(await once(script, 'exit')).toEqual([0, null]);
    });
    expect(await readFile(conf, 'utf8')).toBe(before);
    const reloaded = ['compose exec -T nginx nginx -t -q', 'compose exec -T nginx nginx -s reload'];
    const up = (node: string) => `compose up --detach --no-deps --force-recreate --wait parley-${node}`;
    expect(commands).toEqual([
      'compose build parley-a',
      ...reloaded,
      up('a'),
      ...reloaded,
      ...reloaded,
      up('b'),
      ...reloaded,
    ]);
  });

  test.skipIf(isMissing('curl'))(
    'check-nodes.sh keeps new clients from nodes that are not ready',
    async () => {
      await using stack = new AsyncDisposableStack();
      const cluster = stack.use(await startCluster({ ...SETTINGS, DRAIN_DELAY_MS: '4000' }));
      const { folder, conf, nginx, reload } = await startSampleNginx(stack, cluster);
      const readConf = (): Promise<string> => readFile(conf, 'utf8');
      const before = await readConf();
      const marks: string[] = [];
      const program = stack.use(
        await startProgramOf(folder, 'nginx', async (args) => {
          if (args !== '-s reload') return;
          marks.push(/ down; # (\w+)$/m.exec(await readConf())?.[1] ?? 'none');
          await reload();
        }),
      );
      stack.use(
        startProgram(['sh', join(DEPLOY, 'nginx', 'check-nodes.sh'), conf], {
          PATH: `${program.folder}:${SHELL_PATH}`,
        }),
      );
      await expectNothingLost(nginx.url, async () => {
        for (const name of ['a', 'b'] as const) {
          await restart(cluster, name);
          await expect.poll(() => marks.at(-1)).toBe('none');
          marks.push('');
        }
      });
      expect(marks.filter((mark) => mark !== '')).toEqual(['a', 'none', 'b', 'none']);
      expect(await readConf()).toBe(before);

      await Promise.all([cluster.nodes.a.stop('SIGKILL'), cluster.nodes.b.stop('SIGKILL')]);
      await cluster.nodes.a.start();
      await expect.poll(() => marks.at(-1)).toBe('b');
    },
  );
});

/** Starts nginx with parley.conf in a folder, which `reload` reads again. */
async function startSampleNginx(stack: AsyncDisposableStack, { nodes }: Cluster) {
  const folder = await mkdtemp(join(tmpdir(), 'parley-rolling-'));
  stack.defer(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'nginx'));
  const conf = join(folder, 'nginx', 'parley.conf');
  await writeFile(conf, readSample('nginx/parley.conf', addressesOf(nodes.a.port, nodes.b.port)));
  const directives = async (): Promise<(port: number) => string> => {
    const text = await readFile(conf, 'utf8');
    return (port) =>
      replaceAll(text, {
        'listen 80 ': `listen 127.0.0.1:${port} `,
        '/etc/nginx/parley.d/*': '/nonexistent/*',
      });
  };
  const nginx = stack.use(await startNginxWith(await directives()));
  return { folder, conf, nginx, reload: async () => nginx.reload(await directives()) };
}

describe.skipIf(isMissing('caddy'))('behind Caddy', { timeout: 120_000 }, () => {
  test('nodes restart one after the other without an interruption, as Caddy checks their readiness', async () => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await startCluster(SETTINGS));
    const { a, b } = cluster.nodes;
    // DRAIN_DELAY_MS is above the interval, as in the sample.
    const sample = readSample('caddy/Caddyfile', {
      'health_interval 2s': 'health_interval 100ms',
      ...addressesOf(a.port, b.port),
    });
    const caddy = stack.use(await startCaddy(sample));
    await expectNothingLost(caddy.url, async () => {
      for (const name of ['a', 'b'] as const) {
        await restart(cluster, name);
        await expect.poll(() => openSession(caddy.url)).toMatch(new RegExp(`"sid":"${name}\\.`));
      }
    });
  });
});

/** Returns the handshake of a new session, whose id begins with the name of its node. */
const openSession = async (url: string): Promise<string> =>
  (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text();

/** Puts a program of this name into a folder whose calls the test carries out. */
async function startProgramOf(
  parent: string,
  name: string,
  run: (args: string) => Promise<void>,
): Promise<AsyncDisposable & { readonly folder: string }> {
  const server = createServer((request, response) => {
    readText(request)
      .then(run)
      .then(
        () => response.end(),
        () => response.writeHead(500).end(),
      );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const folder = join(parent, 'bin');
  await mkdir(folder);
  const client = `const body = process.argv.slice(1).join(' ');
    fetch('http://127.0.0.1:${port}', { method: 'POST', body }).then(({ ok }) => process.exit(ok ? 0 : 1));`;
  const program = join(folder, name);
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' --eval "${client}" -- "$@"\n`);
  await chmod(program, 0o755);
  return {
    folder,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
