import { describe, expect, inject, test, vi } from 'vitest';
import {
  createCircle,
  createConversation,
  createGateway,
  createGraphqlClient,
} from '../../src/testing/index.ts';
import type { Entity, GatewayOptions, TestAccount } from '../../src/testing/index.ts';
import type { Database } from '../../src/db/database.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openTestDatabase } from '../harness/database.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startRedis } from '../harness/redis.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

const SIGNALS = 'subscription { signals { content } }';
const SEND_SIGNAL = 'mutation ($to: SignalTarget!) { sendSignal(to: $to, content: "CALLING") }';

/** Starts two nodes that are connected by what an outage interrupts. */
async function startNodes(database: Database, env: GatewayOptions['env'], stack: AsyncDisposableStack) {
  const options = { database, env: { AUTH_SECRET: 'shared by both nodes', ...env } };
  const one = stack.use(await createGateway(options));
  const two = stack.use(await createGateway(options));
  const ann = await one.createAccount();
  const bob = await two.createAccount();
  const cat = await two.createAccount();
  const circle = await createCircle(ann, bob, cat);
  const conversation = await createConversation(ann, circle, bob, cat);
  return { one, two, ann, bob, cat, conversation };
}

type Nodes = Awaited<ReturnType<typeof startNodes>>;

/** What connects the nodes of a cluster, and can be interrupted. */
interface Outage {
  readonly nodes: Nodes;
  start(): Promise<void>;
  end(): Promise<void>;
}

async function startOnRedis(isKilled: boolean, stack: AsyncDisposableStack): Promise<Outage> {
  const redis = stack.use(await startRedis());
  const env = { DATABASE_URL: 'postgres://given', REDIS_URL: redis.url };
  const nodes = await startNodes(await openTestDatabase(), env, stack);
  return {
    nodes,
    start: async () => (isKilled ? redis.stop() : redis.suspend()),
    end: async () => (isKilled ? redis.start() : redis.resume()),
  };
}

/** The connections for LISTEN/NOTIFY pass a proxy, which closes them or stops forwarding. */
async function startOnListen(isClosed: boolean, stack: AsyncDisposableStack): Promise<Outage> {
  const database = await openTestDatabase();
  const url = new URL(database.url ?? '');
  const proxy = stack.use(await openTcpProxy(Number(url.port)));
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  return {
    nodes: await startNodes({ ...database, url: url.href }, {}, stack),
    start: async () => (isClosed ? proxy.refuse() : proxy.mute()),
    end: async () => (isClosed ? proxy.accept() : proxy.unmute()),
  };
}

const OUTAGES = {
  'the connections for LISTEN are closed': (stack: AsyncDisposableStack) => startOnListen(true, stack),
  'the connections for LISTEN are silent': (stack: AsyncDisposableStack) => startOnListen(false, stack),
  'Redis is killed': (stack: AsyncDisposableStack) => startOnRedis(true, stack),
  'Redis does not respond': (stack: AsyncDisposableStack) => startOnRedis(false, stack),
};

const readiness = async (node: Nodes['one']): Promise<unknown> => {
  const response = await fetch(`${node.url}/readyz`);
  return { status: response.status, ...((await response.json()) as object) };
};

const readMetric = async (node: Nodes['one'], metric: string): Promise<number> => {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${metric} `))
      ?.slice(metric.length),
  );
};

/** Sends messages one after the other until `stop`. Returns the texts of those sent after `mark`. */
function startWriter(account: TestAccount, conversation: Entity) {
  let isStopped = false;
  let isMarked = false;
  const afterMark: string[] = [];
  const run = async (): Promise<void> => {
    for (let number = 0; !isStopped || afterMark.length < 5; number += 1) {
      const text = `${account.login} ${number}`;
      if (isMarked) afterMark.push(text);
      await sendMessage(account, conversation, text);
    }
  };
  const finished = run();
  return {
    mark: () => void (isMarked = true),
    async stop(): Promise<readonly string[]> {
      isStopped = true;
      await finished;
      return afterMark;
    },
  };
}

interface LegacyMessage {
  readonly message: { readonly content?: string };
}

const textOf = (item: unknown): string | undefined =>
  (item as { readonly message?: { readonly text?: string } }).message?.text;

/** Ends Bob's sessions on one node, and expects that his connections to the other receive nothing sent later. */
async function expectRevocation({ one, ann, bob, cat, conversation }: Nodes, during: () => Promise<void>) {
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const writers = [startWriter(ann, conversation), startWriter(cat, conversation)];
  await events.next((item) => textOf(item)?.startsWith(cat.login) === true);
  await during();
  await using otherClient = createGraphqlClient(one.url, bob.token);
  await otherClient.run('mutation { logout }');
  for (const writer of writers) writer.mark();
  expect(await events.waitForEnd()).toMatchObject([{ extensions: { reason: 'LOGGED_OUT' } }]);
  await legacyClient.waitForDisconnect();
  const sentLater = new Set((await Promise.all(writers.map((writer) => writer.stop()))).flat());
  expect(sentLater.size).toBeGreaterThan(0);
  const received = [
    ...events.pending().map(textOf),
    ...legacyClient
      .pending()
      .map(({ args }) => (args[0] as Partial<LegacyMessage> | undefined)?.message?.content),
  ];
  expect(received.filter((text) => text !== undefined && sentLater.has(text))).toEqual([]);
}

describe.skipIf(inject('database') !== 'postgres' || isMissing('redis-server')).for(Object.entries(OUTAGES))(
  'while %s',
  ([, startCluster]) => {
    test('nodes stay ready and say that they are degraded, until it is back', async () => {
      await using stack = new AsyncDisposableStack();
      const { nodes, start, end } = await startCluster(stack);
      const { one, two } = nodes;
      expect(await readiness(one)).toEqual({ status: 200, state: 'ready' });
      expect(await readMetric(one, 'parley_degraded')).toBe(0);
      expect(await readMetric(one, 'parley_bus_connected')).toBe(1);
      for (const counter of ['messages', 'bytes'])
        for (const direction of ['sent', 'received'])
          expect(
            await readMetric(one, `parley_bus_${counter}_total{direction="${direction}"}`),
          ).toBeGreaterThan(0);
      await start();
      for (const node of [one, two])
        await vi.waitFor(
          async () =>
            expect(await readiness(node)).toEqual({
              status: 200,
              state: 'degraded',
              reason: 'other nodes unreachable',
            }),
          { timeout: 10_000 },
        );
      expect(await readMetric(two, 'parley_degraded')).toBe(1);
      expect(await readMetric(two, 'parley_bus_connected')).toBe(0);
      await end();
      await vi.waitFor(async () => expect(await readiness(one)).toEqual({ status: 200, state: 'ready' }), {
        timeout: 10_000,
      });
      expect(await readMetric(one, 'parley_degraded')).toBe(0);
    });

    test('events of the other node are found in the log', async () => {
      await using stack = new AsyncDisposableStack();
      const { nodes, start } = await startCluster(stack);
      await using events = await nodes.bob.subscribeToConversation(nodes.conversation.id);
      await start();
      await sendMessage(nodes.ann, nodes.conversation, 'one');
      expect(textOf(await events.nextOf('MessageSent'))).toBe('one');
      // A topic that no one on the node has followed before.
      const circle = await createCircle(nodes.ann, nodes.bob);
      const conversation = await createConversation(nodes.ann, circle, nodes.bob);
      await using later = await nodes.bob.subscribeToConversation(conversation.id);
      await sendMessage(nodes.ann, conversation, 'two');
      expect(textOf(await later.nextOf('MessageSent'))).toBe('two');
    });

    test('an account that logged out on one node receives nothing sent later on the other', async () => {
      await using stack = new AsyncDisposableStack();
      const { nodes, start } = await startCluster(stack);
      await expectRevocation(nodes, start);
    });

    test('a signal to an account of the other node is not accepted, and one to an account of this node is delivered', async () => {
      await using stack = new AsyncDisposableStack();
      const { nodes, start, end } = await startCluster(stack);
      const { ann, bob, cat } = nodes;
      await using signals = bob.graphql.subscribe(SIGNALS);
      await using inbox = await bob.subscribeToInbox();
      expect(inbox.pending()).toEqual([]);
      await start();
      const to = { userId: bob.id };
      expect(await ann.graphql.expectError(SEND_SIGNAL, { to })).toBe('UNREACHABLE');
      expect(await cat.graphql.run(SEND_SIGNAL, { to })).toEqual({ sendSignal: true });
      expect(await signals.next()).toEqual({ content: 'CALLING' });
      await end();
      await vi.waitFor(() => ann.graphql.run(SEND_SIGNAL, { to }), { timeout: 10_000 });
      expect(await signals.next()).toEqual({ content: 'CALLING' });
    });
  },
);
