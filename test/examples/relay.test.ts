import { beforeAll, expect, test } from 'vitest';
import { startServer } from '../harness/server.ts';
import { generate } from './generate.ts';
import { runExample } from './program.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';

/** Node with the Babel plugin of Relay. */
const command = { command: process.execPath, args: ['--import', './examples/relay/register.ts'] };

beforeAll(() => generate('relay'), 60_000);

test('Relay reads a conversation page by page into one connection', { timeout: 60_000 }, async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  for (let index = 0; index < 45; index += 1) await sendMessage(server.url, token, `m${index}`);
  await using program = runExample('relay/pages.ts', server.url, {}, command);
  expect(await program.exitCode).toBe(0);
  expect(program.lines).toEqual(['20', '40', '46']);
  expect(program.errors()).toBe('');
});
