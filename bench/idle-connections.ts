// What an idle subscriber holds of the server's memory, beside a socket of a bare WebSocket server.
import { startAudience } from './load-clients.ts';
import { startCrowdedServer } from './seed-accounts.ts';
import { median, startPeer } from './measure.ts';
import type { Probe } from './measure.ts';
import { entering, subscribing } from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { print } from './server.ts';
import type { Opening } from './load-client-process.ts';

const SUBSCRIBERS = 10_000;
/** Opened and closed before, so that only what grows with the number of subscribers is weighed. */
const FIRST = 200;
const ROUNDS = 5;
/** How many take part in each conversation, each with an account and a socket of its own. */
const CASES = [10, SUBSCRIBERS];

interface Weight {
  readonly residentKb: number;
  readonly usedKb: number;
}

/** What one of many sockets adds to the memory of a program. */
async function weigh(probe: Probe, opening: Opening): Promise<Weight> {
  await using audience = startAudience();
  await audience.order({ ...opening, count: FIRST });
  await audience.order({ type: 'close' });
  const before = await probe.memory();
  await audience.order(opening);
  const after = await probe.memory();
  const each = (growth: number): number => growth / 1024 / opening.count;
  return { residentKb: each(after.resident - before.resident), usedKb: each(after.used - before.used) };
}

async function weighParley(together: number): Promise<Weight> {
  await using crowded = await startCrowdedServer({ accounts: SUBSCRIBERS, together });
  const { server, members } = crowded;
  return await weigh(server.probe, subscribing(server.url, SUBSCRIBERS, members));
}

async function weighBare(): Promise<Weight> {
  await using peer = await startPeer('bare-ws');
  return await weigh(peer.probe, entering(peer.port, SUBSCRIBERS, [{ token: '', conversation: 'all' }]));
}

print(`Memory of the server for each of ${SUBSCRIBERS} idle subscribers, medians of paired rounds\n`);
print('per conversation        resident   to bare ws         in use   to bare ws');
const rows: Row[] = [];
for (const together of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ parley: await weighParley(together), bare: await weighBare() });
  const row = {
    subscribers: SUBSCRIBERS,
    together,
    parleyResidentKb: median(rounds.map(({ parley }) => parley.residentKb)),
    bareWsResidentKb: median(rounds.map(({ bare }) => bare.residentKb)),
    residentRatio: median(rounds.map(({ parley, bare }) => parley.residentKb / bare.residentKb)),
    parleyUsedKb: median(rounds.map(({ parley }) => parley.usedKb)),
    bareWsUsedKb: median(rounds.map(({ bare }) => bare.usedKb)),
    usedRatio: median(rounds.map(({ parley, bare }) => parley.usedKb / bare.usedKb)),
  };
  rows.push(row);
  const kb = (value: number): string => `${value.toFixed(1)} KB`.padStart(13);
  const ratio = (value: number): string => `${value.toFixed(2)} x`.padStart(10);
  print(
    [
      String(together).padStart(16),
      kb(row.parleyResidentKb),
      ratio(row.residentRatio),
      kb(row.parleyUsedKb),
      ratio(row.usedRatio),
      kb(row.bareWsResidentKb),
      kb(row.bareWsUsedKb),
    ].join(' '),
  );
}
await record('idle-connections', rows);
