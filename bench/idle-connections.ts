// Measures the server memory per idle subscriber. Peer: a socket of a bare WebSocket server.
import { startLoadClients } from './load-clients.ts';
import { startSeededServer } from './seed-accounts.ts';
import { median, startPeer } from './measure.ts';
import type { Probe } from './measure.ts';
import { createJoinScript, createSubscribeScript } from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { IS_QUICK, ROUNDS } from './scale.ts';
import { print } from './server.ts';
import type { ClientScript } from './load-client-process.ts';

const SUBSCRIBERS = IS_QUICK ? 1_000 : 10_000;
/** Opened and closed first, so that only memory that grows with the number of subscribers is measured. */
const WARM_UP_CLIENTS = 200;
/** Members per conversation, each with its own account and socket. */
const CASES = [10, SUBSCRIBERS];

interface MemoryPerSocket {
  readonly residentKb: number;
  readonly usedKb: number;
}

/** Returns the memory that each of many sockets adds to a process. */
async function measureMemory(probe: Probe, script: ClientScript): Promise<MemoryPerSocket> {
  await using clients = startLoadClients();
  await clients.run({ ...script, count: WARM_UP_CLIENTS });
  await clients.run({ type: 'close' });
  const before = await probe.memory();
  await clients.run(script);
  const after = await probe.memory();
  const perSocket = (growth: number): number => growth / 1024 / script.count;
  return {
    residentKb: perSocket(after.resident - before.resident),
    usedKb: perSocket(after.used - before.used),
  };
}

async function measureParley(perConversation: number): Promise<MemoryPerSocket> {
  await using seeded = await startSeededServer({ accounts: SUBSCRIBERS, perConversation });
  const { server, members } = seeded;
  return await measureMemory(server.probe, createSubscribeScript(server.url, SUBSCRIBERS, members));
}

async function measureBareWs(): Promise<MemoryPerSocket> {
  await using peer = await startPeer('bare-ws');
  return await measureMemory(
    peer.probe,
    createJoinScript(peer.port, SUBSCRIBERS, [{ token: '', conversation: 'all' }]),
  );
}

print(`Server memory per subscriber, ${SUBSCRIBERS} idle subscribers, medians of paired rounds\n`);
print('per conversation        resident   to bare ws         in use   to bare ws');
const rows: Row[] = [];
for (const perConversation of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ parley: await measureParley(perConversation), bare: await measureBareWs() });
  const row = {
    subscribers: SUBSCRIBERS,
    perConversation,
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
      String(perConversation).padStart(16),
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
