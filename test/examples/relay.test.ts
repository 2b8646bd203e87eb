import { beforeAll, expect, test } from 'vitest';
import { generate } from './generate.ts';
import { expectEachOnce, expectWhatComesNext, OUTAGES_TIMEOUT_MS } from './outages.ts';
import { runExample } from './program.ts';
import { startServer } from './server.ts';
import { logIn, sendMessage } from './writer.ts';

/** Node with the Babel plugin of Relay. */
const command = { command: process.execPath, args: ['--import', './examples/relay/register.ts'] };

beforeAll(() => generate('relay'), 60_000);

test(
  'Relay with parley/client gets each event once, through SIGTERM and kill -9, and its connection follows without warnings',
  { timeout: OUTAGES_TIMEOUT_MS },
  async () => {
    const lines = await expectEachOnce('relay/listen.ts', command);
    const sent = lines.filter((line) => line.startsWith('MessageSent '));
    const text = sent.at(-1)?.replace('MessageSent ', '');
    expect(lines.findLast((line) => line.startsWith('shown '))).toBe(`shown ${1 + sent.length} ${text}`);
  },
);

test(
  'Relay with stock settings gets what comes next, after SIGTERM and after kill -9',
  { timeout: 120_000 },
  async () => {
    await expectWhatComesNext('relay/stock.ts', command);
  },
);

test('Relay reads a conversation page after page into one connection', { timeout: 60_000 }, async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  for (let index = 0; index < 45; index += 1) await sendMessage(server.url, token, `m${index}`);
  await using program = runExample('relay/pages.ts', server.url, {}, command);
  expect(await program.ended).toBe(0);
  expect(program.lines).toEqual(['20', '40', '46']);
  expect(program.errors()).toBe('');
});
