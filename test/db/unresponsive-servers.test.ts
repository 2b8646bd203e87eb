import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import type { Notifier, NotifierOptions } from '../../src/db/notifier.ts';
import { openPostgresNotifier } from '../../src/db/notify.ts';
import { SESSION_LIMITS } from '../../src/db/session-limits.ts';
import { isOutage } from '../../src/errors.ts';
import { openRedisNotifier } from '../../src/events/cluster/redis.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { indexes } from '../harness/numbers.ts';
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

async function countListeners(db: Db): Promise<number> {
  const { rows } = await sql`
    select from pg_stat_activity where datname = current_database() and application_name = 'parley notifications'
  `.execute(db);
  return rows.length;
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

  test('the server ends the session of a node that does not read its notifications', async () => {
    const { url = '', control } = await openTestDatabase();
    await using network = await startRelayTo(url);
    const limits = { ...SESSION_LIMITS, tcp_user_timeout: '500ms' };
    const options = { url: network.url, log, onText: () => undefined, onListening: () => undefined };
    await using notifier = await openPostgresNotifier(options, limits);
    using stack = new DisposableStack();
    stack.defer(() => network.relay.disconnectAll());
    await notifier.listen(['test']);
    expect(await countListeners(control)).toBe(1);
    network.relay.mute();
    // More than the buffers of the connection hold.
    for (const _ of indexes(5))
      await sql`
        select pg_notify('test', number || repeat('x', 7000)) from generate_series(1, 1000) as number
      `.execute(control);
    await vi.waitFor(async () => expect(await countListeners(control)).toBe(0), { timeout: 20_000 });
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
