import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Db } from '../../src/db/database.ts';
import { createChannelUsage, daysAgo } from '../../src/services/channel-usage.ts';
import type { Use } from '../../src/services/channel-usage.ts';
import { sweep } from '../../src/services/retention.ts';
import type { UserId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';

const log = createLogger('silent');

const createUse = (user: number | undefined, fields: Partial<Use> = {}): Use => ({
  channel: 'message',
  protocol: 3,
  library: 'java',
  account: user === undefined ? undefined : { kind: 'user', id: user as UserId },
  ...fields,
});

const createSummary = (accounts: readonly [number, number, number], uses: number) => ({
  accounts: accounts[0],
  accountsOfProtocol3: accounts[1],
  accountsOfProtocol4: accounts[2],
  uses,
  lastDay: daysAgo(0, Date.now()),
});

const backdateUses = (db: Db, days: number) =>
  sql`update channel_uses set day = day - ${days}::int`.execute(db);

test('uses of several nodes are summed, and each account counts once', async () => {
  const { db } = await openTestDatabase();
  await using first = createChannelUsage({ db, log });
  await using second = createChannelUsage({ db, log });
  for (const uses of [first, second]) {
    uses.record(createUse(7));
    uses.record(createUse(7));
    uses.record(createUse(8, { protocol: 4, library: 'js 3.x-4.x' }));
    uses.record(createUse(7, { protocol: 4, library: 'js 3.x-4.x' }));
  }
  await Promise.all([first.read(1), second.read(1)]);
  const { since, until, channels, clients } = await first.read(1);
  expect([since, until]).toEqual([daysAgo(0, Date.now()), daysAgo(0, Date.now())]);
  expect(channels).toEqual([{ channel: 'message', ...createSummary([2, 1, 2], 8) }]);
  expect(clients).toEqual([
    { protocol: 4, library: 'js 3.x-4.x', ...createSummary([2, 0, 2], 4) },
    { protocol: 3, library: 'java', ...createSummary([1, 1, 0], 4) },
  ]);
});

test('clients without authentication count as uses of no account', async () => {
  const { db } = await openTestDatabase();
  await using uses = createChannelUsage({ db, log });
  uses.record(createUse(undefined, { channel: 'webrtc_stun_info' }));
  expect((await uses.read(1)).channels).toEqual([
    { channel: 'webrtc_stun_info', ...createSummary([0, 0, 0], 1) },
  ]);
});

test('a report covers the requested days, and uses are removed after 90', async () => {
  await using deps = await createTestDeps();
  await using uses = createChannelUsage(deps);
  uses.record(createUse(7));
  await uses.read(1);
  await backdateUses(deps.db, 2);
  expect((await uses.read(2)).channels).toEqual([]);
  expect((await uses.read(3)).channels).toMatchObject([{ uses: 1, lastDay: daysAgo(2, Date.now()) }]);
  await backdateUses(deps.db, 88);
  await sweep(deps);
  expect((await uses.read(91)).channels).toHaveLength(1);
  await backdateUses(deps.db, 1);
  await sweep(deps);
  expect((await uses.read(92)).channels).toEqual([]);
});

test('uses whose write failed are written later, once', async () => {
  const { db } = await openTestDatabase();
  await using uses = createChannelUsage({ db, log });
  uses.record(createUse(7));
  await sql`alter table channel_uses rename to renamed_uses`.execute(db);
  await expect(uses.read(1)).rejects.toThrow();
  await sql`alter table renamed_uses rename to channel_uses`.execute(db);
  uses.record(createUse(7));
  expect((await uses.read(1)).channels).toMatchObject([{ accounts: 1, uses: 2 }]);
  expect((await uses.read(1)).channels).toMatchObject([{ uses: 2 }]);
});

test('buffered uses are written at disposal', async () => {
  const { db } = await openTestDatabase();
  {
    await using uses = createChannelUsage({ db, log });
    uses.record(createUse(7));
  }
  await using next = createChannelUsage({ db, log });
  expect((await next.read(1)).channels).toMatchObject([{ uses: 1 }]);
});
