import { beforeAll, describe, expect, test } from 'vitest';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { generate } from './generate.ts';
import { OUTAGES_TIMEOUT_MS, runStockThroughOutages, runThroughOutages, STOCK_TEXTS } from './outages.ts';
import type { Example } from './outages.ts';

const isPythonMissing = isMissing('python3-aiohttp');
/** Node with the Babel plugin of Relay. */
const relay = { command: process.execPath, args: ['--import', './examples/relay/register.ts'] };

const resumingExamples: Readonly<Record<string, Example>> = {
  'graphql-ws with parley/client': { file: 'graphql-ws/listen.ts' },
  'graphql-ws that subscribes after its newest cursor': { file: 'graphql-ws/after.ts' },
  'graphql-sse with parley/client': { file: 'graphql-sse/listen.ts' },
  'graphql-sse that subscribes after its newest cursor': { file: 'graphql-sse/after.ts' },
  'an EventSource': { file: 'event-source/listen.ts' },
  'socket.io-client 4': { file: 'socket.io/listen.ts' },
  'Apollo Client 3': { file: 'apollo-client-3/listen.ts' },
  'Apollo Client 4': { file: 'apollo-client-4/listen.ts' },
  urql: { file: 'urql/listen.ts' },
  Relay: { file: 'relay/listen.ts', command: relay },
  'graphql-ws typed by codegen': { file: 'codegen/listen.ts' },
  'graphql-ws typed by gql.tada': { file: 'gql-tada/listen.ts' },
  ...(!isPythonMissing && {
    Python: { file: 'python/listen.py', command: { command: requireProgram('python3-aiohttp'), args: [] } },
  }),
};

const stockExamples: Readonly<Record<string, Example>> = {
  'graphql-ws': { file: 'graphql-ws/stock.ts' },
  'graphql-sse': { file: 'graphql-sse/stock.ts' },
  'Apollo Client 3': { file: 'apollo-client-3/stock.ts' },
  'Apollo Client 4': { file: 'apollo-client-4/stock.ts' },
  urql: { file: 'urql/stock.ts' },
  Relay: { file: 'relay/stock.ts', command: relay },
};

beforeAll(() => generate('urql', 'relay', 'codegen', 'gql-tada'), 60_000);

describe('through SIGTERM and SIGKILL of the server', () => {
  let outcomes: Awaited<ReturnType<typeof runThroughOutages>>;
  beforeAll(async () => {
    outcomes = await runThroughOutages(Object.values(resumingExamples));
  }, OUTAGES_TIMEOUT_MS);
  const readLines = (file: string): readonly string[] => outcomes.get(file)?.lines ?? [];
  const filterMessages = (lines: readonly string[]) =>
    lines.filter((line) => line.startsWith('MessageSent '));

  test.for(Object.entries(resumingExamples))('%s receives each event once', ([, { file }]) => {
    const outcome = outcomes.get(file);
    expect(outcome).toBeDefined();
    outcome?.expectEachOnce();
  });

  test.for(['apollo-client-3', 'apollo-client-4'])('the cache of %s is updated', (folder) => {
    const lines = readLines(`${folder}/listen.ts`);
    const count = filterMessages(lines).length;
    // One message exists from the start, and the newest may be shown just after its event is printed.
    const lastShown = lines.findLast((line) => line.includes(' messages, the newest: '));
    expect([count, count + 1]).toContain(Number(lastShown?.split(' ')[0]));
    expect(lines.filter((line) => line === 'StreamLive')).toHaveLength(1);
  });

  test('the cache of urql is updated', () => {
    const lines = readLines('urql/listen.ts');
    // The message is shown just after its event is printed.
    const lastShown = lines
      .findLast((line) => line.startsWith('shown '))
      ?.split(' ')
      .at(-1);
    expect(filterMessages(lines).slice(-2)).toContain(`MessageSent ${lastShown}`);
  });

  test('the connection of Relay is updated', () => {
    const lines = readLines('relay/listen.ts');
    const sent = filterMessages(lines);
    const text = sent.at(-1)?.replace('MessageSent ', '');
    expect(lines.findLast((line) => line.startsWith('shown '))).toBe(`shown ${1 + sent.length} ${text}`);
  });
});

describe('with default settings, through SIGTERM and SIGKILL of the server', () => {
  let outcomes: Awaited<ReturnType<typeof runStockThroughOutages>>;
  beforeAll(async () => {
    outcomes = await runStockThroughOutages(Object.values(stockExamples));
  }, OUTAGES_TIMEOUT_MS);

  test.for(Object.entries(stockExamples))(
    '%s receives messages sent after it has reconnected',
    ([, { file }]) => {
      expect(outcomes.get(file)).toEqual({ texts: STOCK_TEXTS, errors: '' });
    },
  );
});
