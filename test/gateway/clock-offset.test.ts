import { spawnSync } from 'node:child_process';
import { sql } from 'kysely';
import { describe, expect, inject, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

const AUTH_SECRET = 'shared by both nodes';
const ADMIN_TOKEN = 'token-of-the-operators';

/** Starts another node on the database, whose clock is off, under libfaketime. The monotonic clock is real. */
async function startNode(databaseUrl: string, offset: string) {
  const { stdout } = spawnSync(requireProgram('faketime'), ['-m', '2018-12-07 10:00:00', 'env'], {
    encoding: 'utf8',
  });
  const program = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    LD_PRELOAD: /^LD_PRELOAD=(.*)$/m.exec(stdout)?.[1] ?? '',
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DATABASE_URL: databaseUrl,
    AUTH_SECRET,
    ADMIN_TOKEN,
    PORT: '0',
    LOG_LEVEL: 'info',
  });
  return {
    url: await waitUntilListening(program.child),
    printed: program.printed,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

describe.skipIf(inject('database') !== 'postgres' || isMissing('faketime'))(
  'a node whose clock is off',
  () => {
    test.for([
      ['+8d', 691_200, 'ahead of'],
      ['-25h', 90_000, 'behind'],
    ] as const)(
      'by %s says so, and accepts and issues tokens as the others',
      { timeout: 120_000 },
      async ([offset, seconds, direction]) => {
        const database = await openTestDatabase();
        await using gateway = await createGateway({ database, env: { AUTH_SECRET } });
        const ann = await gateway.createAccount();
        await using node = await startNode(database.url ?? '', offset);

        const readiness = await fetch(`${node.url}/readyz`);
        expect([readiness.status, await readiness.json()]).toEqual([
          200,
          {
            state: 'degraded',
            reason: expect.stringMatching(`^clock ${seconds} s ${direction} the database$`),
          },
        ]);
        expect(node.printed.stdout).toContain('the clock of this node differs from the database');
        await using onNode = createGraphqlClient(node.url, ann.token);
        expect(await onNode.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
        await using socket = await openGraphqlSocket(node.url, { token: ann.token });
        expect(socket.socket.readyState).toBe(socket.socket.OPEN);

        const { refreshToken } = await onNode.run<{ refreshToken: { token: string } }>(
          'mutation { refreshToken { token } }',
        );
        await using elsewhere = createGraphqlClient(gateway.url, refreshToken.token);
        expect(await elsewhere.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
        const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
        const metrics = await (await fetch(`${node.url}/metrics`, { headers })).text();
        expect(metrics).toContain('parley_clock_offset_seconds');
        const offsetOf = Number(/^parley_clock_offset_seconds (.*)$/m.exec(metrics)?.[1]);
        expect(Math.abs(Math.abs(offsetOf) - seconds)).toBeLessThan(60);
        expect((await sql`select from sweeps`.execute(database.db)).rows).toEqual([]);
      },
    );
  },
);
