import { expect, test } from 'vitest';
import { startServer } from '../harness/server.ts';
import { runExample } from './program.ts';
import { signToken } from './tokens.ts';
import { logIn } from '../harness/demo-server.ts';

test(
  'graphql-request logs in again for an expired token, and sends a message once over several runs',
  { timeout: 60_000 },
  async () => {
    const AUTH_SECRET = 'a secret for the tokens of this test';
    await using server = await startServer({ AUTH_SECRET });
    const PARLEY_TOKEN = await signToken(AUTH_SECRET, await logIn(server.url), '-60s');
    const run = async (): Promise<readonly string[]> => {
      const env = { PARLEY_TOKEN };
      await using program = runExample('graphql-request/send.ts', server.url, env, {
        command: process.execPath,
        args: [],
        parameters: ['once', 'key'],
      });
      expect(await program.exitCode, program.errors()).toBe(0);
      expect(program.errors()).toBe('');
      return program.lines;
    };
    expect(await run()).toEqual([expect.stringContaining('Welcome'), 'sent once']);
    expect(await run()).toEqual([
      expect.stringContaining('Welcome'),
      expect.stringContaining('once'),
      'sent once',
    ]);
  },
);
