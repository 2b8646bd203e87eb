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

test(
  'graphql-request adds a device that speaks, invites and kicks a member',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    const run = async (file: string) => {
      await using program = runExample(`graphql-request/${file}`, server.url);
      expect(await program.exitCode, program.errors()).toBe(0);
      return [...program.lines];
    };
    // Again, as nothing is left of the first run.
    for (const _run of [1, 2]) expect(await run('device.ts')).toEqual(['sent by the device', 'removed']);
    for (const _run of [1, 2])
      expect(await run('members.ts')).toEqual(['invited bob@example.com', 'kicked bob@example.com']);
  },
);
