// Many clients that connect at once, as after a restart, beside a bare WebSocket server that takes as many.
import { startPostgres } from '../test/harness/postgres.ts';
import { startAudience } from './load-clients.ts';
import { startCrowdedServer } from './seed-accounts.ts';
import { median, startPeer } from './measure.ts';
import type { Probe } from './measure.ts';
import { entering, subscribing } from './client-scripts.ts';
import type { Delay } from './process-probe.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { print } from './server.ts';
import type { Opening, Outcome } from './load-client-process.ts';

const CLIENTS = 5_000;
/** In each conversation; each client has an account of its own. */
const TOGETHER = 10;
const ROUNDS = 5;
const DATABASES = ['postgres', 'embedded'];
/** So that code is compiled, as in a server that has run for a while. */
const FIRST = 500;

interface Storm {
  readonly delay: Delay;
  readonly failures: number;
  /** Until the last client was ready. */
  readonly allMs: number;
}

async function storm(probe: Probe, opening: Opening): Promise<Storm> {
  await using audience = startAudience();
  await audience.order({ ...opening, count: FIRST });
  await audience.order({ type: 'close' });
  let outcome: Outcome = { delays: [], failures: [] };
  const delay = await probe.delayDuring(async () => {
    outcome = await audience.attempt({ ...opening, atOnce: opening.count });
  });
  for (const failure of new Set(outcome.failures)) print(`a client failed: ${failure}`);
  return { delay, failures: outcome.failures.length, allMs: Math.max(...outcome.delays) };
}

async function compare(database: string) {
  await using stack = new AsyncDisposableStack();
  const postgres = database === 'postgres' ? stack.use(await startPostgres({ durable: true })) : undefined;
  const crowd = { accounts: CLIENTS, together: TOGETHER };
  const { server, members } = stack.use(await startCrowdedServer(crowd, postgres?.url));
  const bare = stack.use(await startPeer('bare-ws'));
  return {
    parley: await storm(server.probe, subscribing(server.url, CLIENTS, members)),
    bare: await storm(bare.probe, entering(bare.port, CLIENTS, members)),
  };
}

print(`${CLIENTS} clients connect at once, medians of paired rounds\n`);
print('database   failed    all ready   bare ws     ratio  loop late, p99       bare ws     at most');
const rows: Row[] = [];
for (const database of DATABASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare(database));
  const row = {
    database,
    clients: CLIENTS,
    failures: Math.max(...rounds.map(({ parley }) => parley.failures)),
    parleyAllMs: median(rounds.map(({ parley }) => parley.allMs)),
    bareWsAllMs: median(rounds.map(({ bare }) => bare.allMs)),
    ratio: median(rounds.map(({ parley, bare }) => parley.allMs / bare.allMs)),
    parleyLateP99Ms: median(rounds.map(({ parley }) => parley.delay.p99)),
    bareWsLateP99Ms: median(rounds.map(({ bare }) => bare.delay.p99)),
    parleyLateMaxMs: median(rounds.map(({ parley }) => parley.delay.max)),
    bareWsLateMaxMs: median(rounds.map(({ bare }) => bare.delay.max)),
  };
  rows.push(row);
  const ms = (value: number): string => `${value.toFixed(0)} ms`.padStart(10);
  print(
    [
      database.padEnd(9),
      String(row.failures).padStart(7),
      ms(row.parleyAllMs).padStart(12),
      ms(row.bareWsAllMs),
      `${row.ratio.toFixed(2)} x`.padStart(9),
      ms(row.parleyLateP99Ms).padStart(15),
      ms(row.bareWsLateP99Ms).padStart(13),
      ms(row.parleyLateMaxMs).padStart(11),
    ].join(' '),
  );
}
await record('connect-storm', rows);
