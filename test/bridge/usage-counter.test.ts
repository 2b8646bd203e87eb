import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { Uses } from '../../src/bridge/deps.ts';
import { createReportHandler } from '../../src/bridge/usage-report.ts';
import { createUseCounter } from '../../src/bridge/usage-counter.ts';
import type { UserId } from '../../src/ids.ts';
import type { ActorRef } from '../../src/actor.ts';

afterEach(() => {
  vi.useRealTimers();
});

const nothing = { since: '2026-01-01', until: '2026-01-02', knownSince: null, channels: [], clients: [] };

/** Uses that remember what was noted. */
function counting(read: Uses['read'] = async () => nothing) {
  const noted: string[] = [];
  const uses: Uses = {
    keptDays: 90,
    note: ({ channel, account }) => void noted.push(`${channel} ${account?.id ?? 'nobody'}`),
    read,
  };
  return { noted, uses };
}

const user = (id: number): ActorRef => ({ kind: 'user', id: id as UserId });

test('a connection counts as alive once a day, and for each account that it is', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1, 22) });
  const { noted, uses } = counting();
  const inc = () => undefined;
  const counter = { inc, dec: inc };
  const metrics = {
    connections: counter,
    legacyConnections: counter,
    legacyEvents: counter,
    legacyFrames: counter,
    connectionEnds: counter,
  };
  const { alive } = createUseCounter({ metrics, uses }, { query: { EIO: '3' }, headers: {} });
  for (const actor of [undefined, undefined, user(7), user(7), user(8)]) alive(actor);
  expect(noted.splice(0)).toEqual(['connect nobody', 'connect 7', 'connect 8']);
  vi.setSystemTime(Date.UTC(2026, 0, 1, 23, 59));
  alive(user(8));
  expect(noted).toEqual([]);
  vi.setSystemTime(Date.UTC(2026, 0, 2));
  alive(user(8));
  expect(noted).toEqual(['connect 8']);
});

/** Serves reports as the gateway does. */
async function serve(uses: Uses, noteAlive: () => void) {
  const handle = createReportHandler(uses, noteAlive);
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ask: (days: number) =>
      fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/legacy-report?days=${days}`),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

test('however many ask for a report, it is read once, and who is connected is counted before', async () => {
  const asked: string[] = [];
  const { uses } = counting(async (days) => {
    asked.push(`read ${days}`);
    return nothing;
  });
  await using server = await serve(uses, () => void asked.push('note'));
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.ask(7)));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  expect(asked).toEqual(['note', 'read 7']);
  expect(await (await server.ask(8)).text()).toContain('There were none.');
  expect(asked.slice(2)).toEqual(['note', 'read 8']);
});

test('while the database is away the report is not available, and then it is', async () => {
  let away = true;
  const { uses } = counting(async () => {
    if (away) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    return nothing;
  });
  await using server = await serve(uses, () => undefined);
  const refused = await server.ask(7);
  expect([refused.status, await refused.text()]).toEqual([503, 'The database is away. Try again later.\n']);
  away = false;
  expect((await server.ask(7)).status).toBe(200);
});
