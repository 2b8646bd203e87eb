import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { runExample } from './program.ts';

const AUTH_SECRET = 'a secret of the tests, long enough';
const CLIENTS = ['apollo-client-4', 'apollo-client-3', 'urql'] as const;
const LIST = {
  a: 'query Apollo4 { me { __typename } }',
  b: 'subscription Apollo4Events { inboxEvents { __typename } }',
  c: 'query Apollo3 { me { __typename } }',
  d: 'query Urql { me { __typename } }',
};

/** Runs an example until it exits, and returns its output lines. */
async function readOutput(
  client: string,
  url: string,
  token: string,
  method: string,
): Promise<readonly string[]> {
  const env = { PARLEY_TOKEN: token, ...(method === 'GET' && { GET: '1' }) };
  await using program = runExample(`persisted-operations/${client}.ts`, url, env);
  expect({ code: await program.exitCode, errors: program.errors() }).toEqual({ code: 0, errors: '' });
  return program.lines;
}

test.for(CLIENTS.flatMap((client) => (['POST', 'GET'] as const).map((method) => ({ client, method }))))(
  '$client sends the text of an operation once and its hash from then on, by $method',
  { timeout: 60_000 },
  async ({ client, method }) => {
    await using app = await startTestApp();
    const ann = await app.createAccount();
    const events = client === 'apollo-client-4' ? ['StreamLive'] : [];
    const lines = await readOutput(client, app.url, ann.token, method);
    const retryMethod = client === 'urql' && method === 'GET' ? 'GET' : 'POST';
    expect(lines).toEqual([
      `${method} hash`,
      expect.stringMatching(new RegExp(`^(${retryMethod}|${method}) hash text$`)),
      'User',
      `${method} hash`,
      'User',
      ...events,
    ]);
  },
);

test.for(CLIENTS)(
  '%s runs listed operations by their hashes, and reports why others are rejected',
  { timeout: 60_000 },
  async (client) => {
    const folder = await mkdtemp(join(tmpdir(), 'persisted-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(folder, { recursive: true }));
    const database = await openTestDatabase();
    const openGateway = stack.use(await createGateway({ database, env: { AUTH_SECRET } }));
    const { token } = await openGateway.createAccount();
    const startWithList = async (list: object): Promise<string> => {
      const path = join(folder, `${crypto.randomUUID()}.json`);
      await writeFile(path, JSON.stringify(list));
      const env = { AUTH_SECRET, OPERATIONS: 'persisted', PERSISTED_OPERATIONS: path };
      return stack.use(await createGateway({ database, env })).url;
    };
    const events = client === 'apollo-client-4' ? ['StreamLive'] : [];
    expect(await readOutput(client, await startWithList(LIST), token, 'POST')).toEqual([
      'POST hash',
      'User',
      'POST hash',
      'User',
      ...events,
    ]);
    await using program = runExample(
      `persisted-operations/${client}.ts`,
      await startWithList({ a: '{ __typename }' }),
      {
        PARLEY_TOKEN: token,
      },
    );
    await program.exitCode;
    expect(`${program.lines.join('\n')}${program.errors()}`).toContain(
      'This server runs persisted operations only, and this document is none of them.',
    );
  },
);
