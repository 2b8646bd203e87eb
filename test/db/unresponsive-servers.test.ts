import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Notifier, NotifierOptions } from '../../src/db/notifier.ts';
import { openPostgresNotifier } from '../../src/db/notify.ts';
import { isOutage } from '../../src/errors.ts';
import { openRedisNotifier } from '../../src/events/cluster/redis.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startRedis } from '../harness/redis.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

const TIMEOUT_MS = 500;
const log = createLogger('silent');

/** Starts a relay to the server, which can drop all packets. */
async function startRelayTo(address: string) {
  const url = new URL(address);
  const relay = await openTcpProxy(Number(url.port));
  url.hostname = '127.0.0.1';
  url.port = String(relay.port);
  return { url: url.href, relay, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}

/** Opens a notifier, drops its network traffic, and expects that the notifier reports this and reconnects. */
async function expectReconnect(
  address: string,
  open: (options: NotifierOptions) => Promise<Notifier>,
): Promise<void> {
  await using network = await startRelayTo(address);
  const texts: string[] = [];
  const onListening = vi.fn<() => void>();
  await using notifier = await open({
    url: network.url,
    log,
    onText: (text) => void texts.push(text),
    onListening,
    responseTimeoutMs: TIMEOUT_MS,
  });
  const send = (text: string) => notifier.send([{ channel: 'test', text }]);
  await notifier.listen(['test']);
  await send('before');
  await vi.waitFor(() => expect(texts).toEqual(['before']), { timeout: 5_000 });

  network.relay.mute();
  await expect(Promise.all([send('lost'), notifier.check()])).rejects.toThrow();
  expect(notifier.listening).toBe(false);
  await expect(send('refused')).rejects.toThrow('Not connected');

  network.relay.unmute();
  await vi.waitFor(() => expect(notifier.listening).toBe(true), { timeout: 15_000 });
  expect(onListening).toHaveBeenCalledTimes(1);
  await send('after');
  await vi.waitFor(() => expect(texts).toEqual(['before', 'after']), { timeout: 5_000 });
}

describe.skipIf(inject('database') !== 'postgres')('when the network to PostgreSQL drops all packets', () => {
  test('a pending query fails as an outage, and later queries succeed', async () => {
    const { url = '' } = await openTestDatabase();
    await using network = await startRelayTo(url);
    await using database = await openDatabase(
      { kind: 'postgres', url: network.url, inactivityTimeoutMs: TIMEOUT_MS },
      log,
    );
    network.relay.mute();
    const error: unknown = await sql`select 1`.execute(database.db).catch((thrown: unknown) => thrown);
    expect(isOutage(error)).toBe(true);
    network.relay.unmute();
    await vi.waitFor(() => sql`select 1`.execute(database.db), { timeout: 10_000 });
  });

  test('the notifier reports that it is disconnected, and reconnects', async () => {
    const { url = '' } = await openTestDatabase();
    await expectReconnect(url, openPostgresNotifier);
  });
});

describe.skipIf(inject('database') !== 'pglite' || isMissing('redis-server'))(
  'when the network to Redis drops all packets',
  () => {
    test('the notifier reports that it is disconnected, and reconnects', async () => {
      await using redis = await startRedis();
      await expectReconnect(redis.url, openRedisNotifier);
    });
  },
);
