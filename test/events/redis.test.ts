import { describe, expect, test, vi } from 'vitest';
import type { Notifier } from '../../src/db/notifier.ts';
import { openRedisNotifier } from '../../src/events/cluster/redis.ts';
import { createLogger } from '../../src/log.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { range } from '../harness/numbers.ts';
import { startRedis, startRedisCluster } from '../harness/redis.ts';

const log = createLogger('silent');
const COMMON_CHANNEL = 'parley';

interface Node extends AsyncDisposable {
  readonly notifier: Notifier;
  /** Received texts, by channel. */
  readonly texts: Map<string, string[]>;
  readonly onListening: () => void;
}

async function openNode(url: string): Promise<Node> {
  const texts = new Map<string, string[]>();
  const onListening = vi.fn<() => void>();
  const notifier = await openRedisNotifier({
    url,
    log,
    onText: (text, channel) => texts.set(channel, [...(texts.get(channel) ?? []), text]),
    onListening,
  });
  return { notifier, texts, onListening, [Symbol.asyncDispose]: () => notifier[Symbol.asyncDispose]() };
}

const SERVERS = {
  'one server': startRedis,
  'a cluster': startRedisCluster,
};

describe.skipIf(isMissing('redis-server')).for(Object.entries(SERVERS))('with %s', ([, start]) => {
  test('a node receives the texts of its channels in order, and no others', async () => {
    await using redis = await start();
    await using a = await openNode(redis.url);
    await using b = await openNode(redis.url);
    const channels = range(1, 20).map((shard) => `parley_${shard}`);
    const wanted = channels.slice(0, 10);
    await b.notifier.listen([COMMON_CHANNEL, ...wanted]);
    for (const text of ['one', 'two'])
      await a.notifier.send([COMMON_CHANNEL, ...channels].map((channel) => ({ channel, text })));
    // Of this channel, after everything else on each server.
    await vi.waitFor(() => expect([...b.texts.values()].flat()).toHaveLength(22));
    await b.notifier.check();
    expect(b.texts).toEqual(new Map([COMMON_CHANNEL, ...wanted].map((channel) => [channel, ['one', 'two']])));

    await b.notifier.unlisten(wanted);
    await a.notifier.send(channels.map((channel) => ({ channel, text: 'three' })));
    await a.notifier.send([{ channel: COMMON_CHANNEL, text: 'last' }]);
    await vi.waitFor(() => expect(b.texts.get(COMMON_CHANNEL)).toContain('last'));
    await b.notifier.check();
    expect([...b.texts.values()].flat()).not.toContain('three');
  });

  test('a large text arrives unchanged', async () => {
    await using redis = await start();
    await using node = await openNode(redis.url);
    await node.notifier.listen(['parley_1']);
    const text = 'é€😀'.repeat(30_000);
    await node.notifier.send([{ channel: 'parley_1', text }]);
    await vi.waitFor(() => expect(node.texts.get('parley_1')).toEqual([text]));
  });
});

test.skipIf(isMissing('redis-server'))('channels are listened to again after a reconnect', async () => {
  await using redis = await startRedis();
  await using node = await openNode(redis.url);
  await node.notifier.listen(['parley_1', 'parley_2']);
  await node.notifier.unlisten(['parley_2']);
  await redis.stop();
  await vi.waitFor(() => expect(node.notifier.listening).toBe(false));
  await expect(node.notifier.listen(['parley_3'])).rejects.toThrow('Not connected');
  await redis.start();
  await vi.waitFor(() => expect(node.onListening).toHaveBeenCalledTimes(1), { timeout: 5_000 });
  await node.notifier.send([1, 2, 3].map((shard) => ({ channel: `parley_${shard}`, text: 'after' })));
  await vi.waitFor(() => expect(node.texts.size).toBe(2));
  await node.notifier.check();
  expect([...node.texts.keys()].sort()).toEqual(['parley_1', 'parley_3']);
});

test.skipIf(isMissing('redis-server'))('the loss of one server of a cluster is detected', async () => {
  await using redis = await startRedisCluster();
  await using node = await openNode(redis.url);
  await node.notifier.listen(range(1, 20).map((shard) => `parley_${shard}`));
  await redis.killSecond();
  await vi.waitFor(() => expect(node.notifier.listening).toBe(false), { timeout: 5_000 });
});
