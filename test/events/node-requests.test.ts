import { expect, test } from 'vitest';
import type { Message } from '../../src/db/notifier.ts';
import { NodeRequestLink } from '../../src/events/cluster/node-requests.ts';
import { createLogger } from '../../src/log.ts';

// Requests between nodes over a bus with short texts. Real buses: test/admin/cluster.test.ts.

const MAX_TEXT_BYTES = 100;

/** Connects nodes with these origins by a bus that passes each text on, or throws while it is disconnected. */
function createCluster(...origins: readonly string[]) {
  const bus = { isConnected: true, texts: 0 };
  const links = new Map<string, NodeRequestLink>();
  const send = async (from: string, messages: readonly Message[]): Promise<void> => {
    if (!bus.isConnected) throw new Error('disconnected');
    for (const { channel, text } of messages) {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_TEXT_BYTES);
      bus.texts += 1;
      for (const [origin, link] of links)
        if (origin !== from && link.channels.includes(channel)) link.onText(text, channel);
    }
  };
  for (const origin of origins)
    links.set(
      origin,
      new NodeRequestLink({
        nodeId: `node ${origin}`,
        origin,
        notifier: { maxTextBytes: MAX_TEXT_BYTES, send: (messages) => send(origin, messages) },
        log: createLogger('silent'),
      }),
    );
  const linkOf = (origin: string): NodeRequestLink => {
    const link = links.get(origin);
    if (link === undefined) throw new Error(`No node ${origin}`);
    return link;
  };
  return { bus, linkOf };
}

/** A timeout that no test waits for. */
const LONG_MS = 60_000;

test('requests and replies of any size arrive whole, from every node', async () => {
  const { bus, linkOf } = createCluster('a', 'b', 'c');
  for (const origin of ['b', 'c'])
    linkOf(origin).handle(async (request) => ({ origin, request, text: 'Zoë 👋'.repeat(500) }));
  const request = { name: 'é'.repeat(200) };
  const replies = await linkOf('a').ask(request, ['node b', 'node c'], LONG_MS);
  expect([...replies]).toEqual(
    ['b', 'c'].map((origin) => [`node ${origin}`, { origin, request, text: 'Zoë 👋'.repeat(500) }]),
  );
  expect(bus.texts).toBeGreaterThan(100);
});

test('concurrent requests receive their own replies', async () => {
  const { linkOf } = createCluster('a', 'b');
  linkOf('b').handle(async (request) => request);
  const replies = await Promise.all(
    [1, 2, 3].map((request) => linkOf('a').ask(request, ['node b'], LONG_MS)),
  );
  expect(replies.map((reply) => reply.get('node b'))).toEqual([1, 2, 3]);
});

test('a node that fails, or has no handler, is not among the replies, and not waited for', async () => {
  const { linkOf } = createCluster('a', 'b', 'c', 'd');
  linkOf('b').handle(async () => 'reply');
  linkOf('c').handle(async () => {
    throw new Error('A defect');
  });
  const replies = await linkOf('a').ask('request', ['node b', 'node c', 'node d'], LONG_MS);
  expect([...replies]).toEqual([['node b', 'reply']]);
});

test('a node that does not reply is waited for until the timeout', async () => {
  const { linkOf } = createCluster('a', 'b');
  linkOf('b').handle(async () => 'reply');
  const replies = await linkOf('a').ask('request', ['node b', 'gone'], 10);
  expect([...replies]).toEqual([['node b', 'reply']]);
});

test('no reply is waited for while the bus is disconnected, or once it is closed', async () => {
  const { bus, linkOf } = createCluster('a', 'b');
  const waiting = linkOf('a').ask('request', ['gone'], LONG_MS);
  linkOf('a').giveUp();
  expect([...(await waiting)]).toEqual([]);
  bus.isConnected = false;
  expect([...(await linkOf('a').ask('request', ['node b'], LONG_MS))]).toEqual([]);
});
