import { beforeAll, expect, test } from 'vitest';
import { needs, pathOf } from '../harness/programs.ts';
import { expectWhatComesNext, OUTAGES_TIMEOUT_MS, runThroughOutages } from './outages.ts';
import type { Example, Outcome } from './outages.ts';

const isPythonMissing = needs('python3-aiohttp');

const resuming: Readonly<Record<string, Example>> = {
  'graphql-ws with parley/client': { file: 'graphql-ws/listen.ts' },
  'graphql-ws that subscribes after its newest cursor': { file: 'graphql-ws/after.ts' },
  'graphql-sse with parley/client': { file: 'graphql-sse/listen.ts' },
  'graphql-sse that subscribes after its newest cursor': { file: 'graphql-sse/after.ts' },
  'an EventSource': { file: 'event-source/listen.ts' },
  'socket.io-client 4': { file: 'socket.io/listen.ts' },
  ...(!isPythonMissing && {
    Python: { file: 'python/listen.py', command: { command: pathOf('python3-aiohttp'), args: [] } },
  }),
};

let outcomes: ReadonlyMap<string, Outcome>;
beforeAll(async () => {
  outcomes = await runThroughOutages(Object.values(resuming));
}, OUTAGES_TIMEOUT_MS);

test.for(Object.entries(resuming))('%s gets each event once, through SIGTERM and kill -9', ([, { file }]) => {
  const outcome = outcomes.get(file);
  expect(outcome).toBeDefined();
  outcome?.expectEachOnce();
});

test.for(['graphql-ws', 'graphql-sse'])(
  '%s with stock settings gets what comes next, after SIGTERM and after kill -9',
  { timeout: 120_000 },
  async (library) => {
    await expectWhatComesNext(`${library}/stock.ts`);
  },
);
