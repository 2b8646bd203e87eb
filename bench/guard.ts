// Fails when a ratio to a peer, or a count, is worse than the recorded one in guard.json: `npm run bench -- --guard`.
// `--record` writes guard.json instead.
import { readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { startPostgres } from '../test/harness/postgres.ts';
import { openDatabaseCounter } from './database-counter.ts';
import { openFixture } from './fixtures.ts';
import { checkDelivery, checkFirstScreen, checkSends, countWork, TRANSPORTS } from './guard-checks.ts';
import type { Visitor } from './guard-checks.ts';
import { median } from './measure.ts';
import { describeMachine } from './results.ts';
import { print } from './server.ts';
import { decideRatio, FIRST_ROUNDS, judgeCount } from './verdict.ts';
import type { Recorded, Verdict } from './verdict.ts';

const FILE = new URL('guard.json', import.meta.url);
const RECORDED_ROUNDS = 11;

const isRecording = process.argv.includes('--record');
const machine = describeMachine();
const recorded: Recorded = isRecording
  ? { machine, ratios: {}, counts: {} }
  : (JSON.parse(await readFile(FILE, 'utf8')) as Recorded);
const measured = { machine, ratios: {} as Record<string, number>, counts: {} as Record<string, number> };
const failures: string[] = [];

function report({ passes, text }: Verdict): void {
  print(`${passes ? 'ok  ' : 'WORSE'} ${text}`);
  if (!passes) failures.push(text);
}

const visit: Visitor = {
  async ratio(check) {
    const measure = await check.warmUp();
    if (isRecording) {
      const { ratios } = await measure(RECORDED_ROUNDS);
      if (ratios.length < FIRST_ROUNDS) throw new Error(`${check.name}: the machine is too busy to record.`);
      const value = Number(median(ratios).toPrecision(4));
      measured.ratios[check.name] = value;
      print(`${check.name}: ${value} x the peer, in ${ratios.length} rounds`);
    } else report(await decideRatio(measure, recorded, machine));
  },
  count(figure) {
    measured.counts[figure.name] = Number(figure.value.toFixed(2));
    if (isRecording) print(`${figure.name}: ${measured.counts[figure.name]}`);
    else report(judgeCount(figure, recorded));
  },
};

const startedAt = performance.now();
{
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const counter = stack.use(await openDatabaseCounter(postgres.url));
  const fixture = stack.use(await openFixture(counter.url));
  await countWork(fixture, counter, visit);
  for (const transport of TRANSPORTS) await checkDelivery(fixture, transport, visit);
}
await checkSends(visit);
await checkFirstScreen(visit);
print(`\nAfter ${((performance.now() - startedAt) / 1_000).toFixed(0)} s, on ${machine}`);
if (isRecording) await writeFile(FILE, `${JSON.stringify(measured, null, 2)}\n`);
else if (failures.length > 0) {
  print(`Worse than recorded in bench/guard.json:\n${failures.join('\n')}`);
  process.exitCode = 1;
} else print('Nothing is worse than recorded in bench/guard.json.');
