// Measures the first query of an app: circles, conversations, last messages, participants and presence. Peer: Mercurius with
// graphql-jit on the same data, statements and database.
import { openFirstScreens } from './first-screen.ts';
import type { FirstScreenCase } from './first-screen.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measurePairs } from './rounds.ts';
import { repeat } from './scale.ts';
import { print } from './server.ts';

const CASES = [
  { circles: 1, conversations: 1, queries: repeat(2_000) },
  { circles: 3, conversations: 3, queries: repeat(800) },
  { circles: 5, conversations: 5, queries: repeat(400) },
];
await using screens = await openFirstScreens();

async function compare(testCase: FirstScreenCase): Promise<Row> {
  const { resultBytes, parley, mercurius } = await screens.open(testCase);
  const { median, ratio } = await measurePairs({ parley, mercurius }, { steady: 'us' });
  return {
    circles: testCase.circles,
    conversations: testCase.circles * testCase.conversations,
    resultBytes,
    parleyUs: median('parley', 'us'),
    mercuriusUs: median('mercurius', 'us'),
    toMercurius: ratio('parley', 'mercurius', 'us'),
    parleyMedianMs: median('parley', 'medianMs'),
    mercuriusMedianMs: median('mercurius', 'medianMs'),
    parleyP99Ms: median('parley', 'p99Ms'),
    mercuriusP99Ms: median('mercurius', 'p99Ms'),
    parleyInstructions: median('parley', 'instructions'),
    mercuriusInstructions: median('mercurius', 'instructions'),
  };
}

print('Initial query: server CPU time per query, medians of paired rounds\n');
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await compare(testCase);
  rows.push(row);
  for (const [name, value] of Object.entries(row)) {
    if (typeof value === 'number') print(`${name.padEnd(20)} ${value.toFixed(2).padStart(12)}`);
  }
  print('');
}
await record('initial-query', rows);
