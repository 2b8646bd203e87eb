import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { openNotifier } from '../../src/db/notify.ts';
import type { Notifier, NotifierOptions } from '../../src/db/notify.ts';
import { isOutage } from '../../src/errors.ts';
import { openRedisNotifier } from '../../src/events/cluster/redis.ts';
import { createLogger } from '../../src/log.ts';
import { testDatabase } from '../harness/database.ts';
import { needs } from '../harness/programs.ts';
import { startRedis } from '../harness/redis.ts';
import { openRelay } from '../harness/relay.ts';

const SILENCE_MS = 500;
const log = createLogger('silent');

/** The address of the same server behind a relay. */
async function behindRelay(address: string) {
  const url = new URL(address);
  const relay = await openRelay(Number(url.port));
  url.hostname = '127.0.0.1';
  url.port = String(relay.port);
  return { url: url.href, relay, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}

/** Opens a notifier, lets its network fall silent, and expects that it says so and recovers. */
async function outliveSilence(
  address: string,
  open: (options: NotifierOptions) => Promise<Notifier>,
): Promise<void> {
  await using network = await behindRelay(address);
  const heard: string[] = [];
  const again = vi.fn<() => void>();
  await using notifier = await open({
    url: network.url,
    log,
    onText: (text) => void heard.push(text),
    onListening: again,
    answerTimeoutMs: SILENCE_MS,
  });
  await notifier.send(['before']);
  await vi.waitFor(() => expect(heard).toEqual(['before']), { timeout: 5_000 });

  network.relay.mute();
  await expect(Promise.all([notifier.send(['lost']), notifier.check()])).rejects.toThrow();
  expect(notifier.listening).toBe(false);
  await expect(notifier.send(['refused'])).rejects.toThrow('Not connected');

  network.relay.unmute();
  await vi.waitFor(() => expect(notifier.listening).toBe(true), { timeout: 15_000 });
  expect(again).toHaveBeenCalledTimes(1);
  await notifier.send(['after']);
  await vi.waitFor(() => expect(heard).toEqual(['before', 'after']), { timeout: 5_000 });
}

describe.skipIf(inject('database') !== 'postgres')('when the network to PostgreSQL falls silent', () => {
  test('whoever waits is told that it is away, and later all is well again', async () => {
    const { url = '' } = await testDatabase();
    await using network = await behindRelay(url);
    await using database = await openDatabase(
      { kind: 'postgres', url: network.url, silenceMs: SILENCE_MS },
      log,
    );
    network.relay.mute();
    const error: unknown = await sql`select 1`.execute(database.db).catch((thrown: unknown) => thrown);
    expect(isOutage(error)).toBe(true);
    network.relay.unmute();
    await vi.waitFor(() => sql`select 1`.execute(database.db), { timeout: 10_000 });
  });

  test('the other nodes are known to be out of reach, until they are heard again', async () => {
    const { url = '' } = await testDatabase();
    await outliveSilence(url, openNotifier);
  });
});

describe.skipIf(inject('database') !== 'pglite' || needs('redis-server'))(
  'when the network to Redis falls silent',
  () => {
    test('the other nodes are known to be out of reach, until they are heard again', async () => {
      await using redis = await startRedis();
      await outliveSilence(redis.url, openRedisNotifier);
    });
  },
);
