import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { UsageLog } from '../../src/bridge/deps.ts';
import { createReportHandler } from '../../src/bridge/usage-report.ts';
import { createUsageCounter } from '../../src/bridge/usage-counter.ts';
import type { UserId } from '../../src/ids.ts';
import type { ActorRef } from '../../src/actor.ts';

afterEach(() => {
  vi.useRealTimers();
});

const emptySummary = {
  since: '2026-01-01',
  until: '2026-01-02',
  knownSince: null,
  channels: [],
  clients: [],
};

/** Creates a usage log that records its calls. */
function createFakeUsage(read: UsageLog['read'] = async () => emptySummary) {
  const records: string[] = [];
  const usage: UsageLog = {
    retentionDays: 90,
    record: ({ channel, account }) => void records.push(`${channel} ${account?.id ?? 'anonymous'}`),
    read,
  };
  return { records, usage };
}

const actorOf = (id: number): ActorRef => ({ kind: 'user', id: id as UserId });

test('a connection is counted once a day, and once for each account', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1, 22) });
  const { records, usage } = createFakeUsage();
  const ignore = () => undefined;
  const counter = { inc: ignore, dec: ignore };
  const metrics = {
    connections: counter,
    legacyConnections: counter,
    legacyEvents: counter,
    legacyFrames: counter,
    legacyEventDuration: { observe: ignore },
    errors: counter,
    connectionEnds: counter,
  };
  const { countConnection } = createUsageCounter({ metrics, usage }, { protocol: 3, library: 'unknown' });
  for (const actor of [undefined, undefined, actorOf(7), actorOf(7), actorOf(8)]) countConnection(actor);
  expect(records.splice(0)).toEqual(['connect anonymous', 'connect 7', 'connect 8']);
  vi.setSystemTime(Date.UTC(2026, 0, 1, 23, 59));
  countConnection(actorOf(8));
  expect(records).toEqual([]);
  vi.setSystemTime(Date.UTC(2026, 0, 2));
  countConnection(actorOf(8));
  expect(records).toEqual(['connect 8']);
});

/** Serves the usage report over HTTP. */
async function startReportServer(usage: UsageLog, countUsage: () => void) {
  const handle = createReportHandler(usage, countUsage);
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    get: (days: number) =>
      fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/legacy-report?days=${days}`),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

test('concurrent requests for a report read it once, after the open connections are counted', async () => {
  const calls: string[] = [];
  const { usage } = createFakeUsage(async (days) => {
    calls.push(`read ${days}`);
    return emptySummary;
  });
  await using server = await startReportServer(usage, () => void calls.push('count'));
  const responses = await Promise.all(Array.from({ length: 20 }, () => server.get(7)));
  expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  expect(calls).toEqual(['count', 'read 7']);
  expect(await (await server.get(8)).text()).toContain('No legacy clients connected.');
  expect(calls.slice(2)).toEqual(['count', 'read 8']);
});

test('the report fails with 503 while the database is unavailable, and succeeds afterwards', async () => {
  let isUnavailable = true;
  const { usage } = createFakeUsage(async () => {
    if (isUnavailable) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    return emptySummary;
  });
  await using server = await startReportServer(usage, () => undefined);
  const response = await server.get(7);
  expect([response.status, await response.text()]).toEqual([
    503,
    'The database is unavailable. Try again later.\n',
  ]);
  isUnavailable = false;
  expect((await server.get(7)).status).toBe(200);
});
