import { beforeAll, expect, test } from 'vitest';
import { expectWhatComesNext, OUTAGES_TIMEOUT_MS, runThroughOutages } from './outages.ts';
import type { Outcome } from './outages.ts';

const resuming = {
  'graphql-ws with parley/client': 'graphql-ws/listen.ts',
  'graphql-ws that subscribes after its newest cursor': 'graphql-ws/after.ts',
  'graphql-sse with parley/client': 'graphql-sse/listen.ts',
  'graphql-sse that subscribes after its newest cursor': 'graphql-sse/after.ts',
  'an EventSource': 'event-source/listen.ts',
};

let outcomes: ReadonlyMap<string, Outcome>;
beforeAll(async () => {
  outcomes = await runThroughOutages(Object.values(resuming).map((file) => ({ file })));
}, OUTAGES_TIMEOUT_MS);

test.for(Object.entries(resuming))('%s gets each event once, through SIGTERM and kill -9', ([, file]) => {
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
