// Measures how long 5,000 clients take that connect at the same time, as after a restart. Peer: a bare WebSocket server.
import { startPostgres } from '../test/harness/postgres.ts';
import { startLoadClients } from './load-clients.ts';
import { startSeededServer } from './seed-accounts.ts';
import { median, startPeer } from './measure.ts';
import type { Probe } from './measure.ts';
import { createJoinScript, createSubscribeScript } from './client-scripts.ts';
import type { Delay } from './process-probe.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { print } from './server.ts';
import type { ClientScript, Outcome } from './load-client-process.ts';

const CLIENTS = 5_000;
/** Members per conversation; each client has its own account. */
const PER_CONVERSATION = 10;
const ROUNDS = 5;
const DATABASES = ['postgres', 'embedded'];
/** Warms up the JIT, as in a server that has run for a while. */
const WARM_UP_CLIENTS = 500;

interface Storm {
  readonly delay: Delay;
  readonly failures: number;
  /** Time until the last client was ready. */
  readonly allMs: number;
}

async function runStorm(probe: Probe, script: ClientScript): Promise<Storm> {
  await using clients = startLoadClients();
  await clients.run({ ...script, count: WARM_UP_CLIENTS });
  await clients.run({ type: 'close' });
  let outcome: Outcome = { delays: [], failures: [] };
  const delay = await probe.delayDuring(async () => {
    outcome = await clients.attempt({ ...script, concurrency: script.count });
  });
  for (const failure of new Set(outcome.failures)) print(`a client failed: ${failure}`);
  return { delay, failures: outcome.failures.length, allMs: Math.max(...outcome.delays) };
}

async function compare(database: string) {
  await using stack = new AsyncDisposableStack();
  const postgres = database === 'postgres' ? stack.use(await startPostgres({ durable: true })) : undefined;
  const seed = { accounts: CLIENTS, perConversation: PER_CONVERSATION };
  const { server, members } = stack.use(await startSeededServer(seed, postgres?.url));
  const bare = stack.use(await startPeer('bare-ws'));
  return {
    parley: await runStorm(server.probe, createSubscribeScript(server.url, CLIENTS, members)),
    bare: await runStorm(bare.probe, createJoinScript(bare.port, CLIENTS, members)),
  };
}

print(`${CLIENTS} clients connect at the same time, medians of paired rounds\n`);
print('database   failed    all ready   bare ws     ratio  loop delay p99       bare ws         max');
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
  const formatMs = (value: number): string => `${value.toFixed(0)} ms`.padStart(10);
  print(
    [
      database.padEnd(9),
      String(row.failures).padStart(7),
      formatMs(row.parleyAllMs).padStart(12),
      formatMs(row.bareWsAllMs),
      `${row.ratio.toFixed(2)} x`.padStart(9),
      formatMs(row.parleyLateP99Ms).padStart(15),
      formatMs(row.bareWsLateP99Ms).padStart(13),
      formatMs(row.parleyLateMaxMs).padStart(11),
    ].join(' '),
  );
}
await record('connect-storm', rows);
