import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import { loadClient } from '../clients/load.ts';
import { openTestDatabase } from '../harness/database.ts';
import { PROGRAM_ENV, ROOT, startProgram, waitForOutput } from '../harness/program.ts';
import type { Program } from '../harness/program.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';
import { pause } from '../harness/waiting.ts';
import { findCodeBlocks, runSnippet, readProjectFile } from './snippets.ts';

const SUBSTITUTED_PORT = '4000';
const [START_COMMAND = '', TOKEN_COMMAND = '', LISTEN_COMMAND = '', SEND_COMMAND = ''] = findCodeBlocks(
  await readProjectFile('README.md'),
  'sh',
);
const [LISTEN_FILE = '', SEND_FILE = ''] = findCodeBlocks(await readProjectFile('README.md'), 'js');

/** Copies the project like a fresh, installed clone, with the two files of the README and a free port instead of 4000. */
async function cloneProject() {
  const path = await mkdtemp(join(tmpdir(), 'parley-readme-'));
  const excluded = /^\.\/(?:\.git|data|bench\/results)$|\/node_modules$/;
  await cp(ROOT, path, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !excluded.test(`./${relative(ROOT, source)}`),
  });
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  const port = String(await findFreePort());
  const substitutePort = (block: string) => block.replaceAll(SUBSTITUTED_PORT, port);
  await writeFile(join(path, 'listen.mjs'), substitutePort(LISTEN_FILE));
  await writeFile(join(path, 'send.mjs'), substitutePort(SEND_FILE));
  const env = { ...PROGRAM_ENV, HOME: process.env['HOME'] ?? '', PORT: port };
  return {
    run: (...blocks: string[]) => startProgram(['sh', '-c', substitutePort(blocks.join('\n'))], env, path),
    /** Runs in a terminal, to which a test can send Ctrl-C. */
    runInTerminal: (block: string) =>
      startProgram(
        [requireProgram('script'), '-qefc', substitutePort(block), '/dev/null'],
        { ...env, TERM: 'xterm' },
        path,
      ),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

const STOP_METHODS = ['Ctrl-C', 'SIGTERM', 'SIGKILL'] as const;

async function stop(server: Program, method: (typeof STOP_METHODS)[number]): Promise<void> {
  if (method === 'Ctrl-C') server.child.stdin.write('\u0003');
  else if (method === 'SIGTERM') server.child.kill('SIGTERM');
  else server.signalGroup('SIGKILL');
  const [code] = await server.exited;
  if (method !== 'SIGKILL') expect(code).toBe(0);
}

test.skipIf(isMissing('script'))(
  'the code blocks of the README run unchanged, over Ctrl-C, SIGTERM and SIGKILL',
  { timeout: 180_000 },
  async () => {
    await using project = await cloneProject();
    // The packages are linked already. With `exec`, signals reach npm instead of the shell.
    const command = START_COMMAND.replace('npm ci && ', 'exec ');
    const sendAndExpect = async (text: string) => {
      await using program = project.run(TOKEN_COMMAND, SEND_COMMAND.replace('2015', text));
      expect(await program.exited).toEqual([0, null]);
      expect(program.printed).toEqual({ stdout: `ann@example.com Hello from ${text}\n`, stderr: '' });
    };
    await using stack = new AsyncDisposableStack();
    let server = stack.use(project.runInTerminal(command));
    await waitForOutput(server.child, /Parley is running/);
    const listener = stack.use(project.run(TOKEN_COMMAND, LISTEN_COMMAND));
    await waitForOutput(listener.child, /StreamLive/);
    const texts: string[] = [];
    for (const [round, method] of [...STOP_METHODS, ...STOP_METHODS].entries()) {
      await sendAndExpect(`before-${round}`);
      await stop(server, method);
      server = stack.use(
        STOP_METHODS[(STOP_METHODS.indexOf(method) + 1) % STOP_METHODS.length] === 'Ctrl-C'
          ? project.runInTerminal(command)
          : project.run(command),
      );
      await waitForOutput(server.child, /Parley is running|"msg":"listening"/);
      await sendAndExpect(`after-${round}`);
      texts.push(`before-${round}`, `after-${round}`);
    }
    const expected = ['StreamLive ', ...texts.map((text) => `MessageSent Hello from ${text}`)];
    await expect
      .poll(() => listener.printed.stdout.trimEnd().split('\n'), { timeout: 40_000 })
      .toEqual(expected);
    expect(listener.printed.stderr).toBe('');
    expect(listener.child.exitCode).toBe(null);
  },
);

test('the legacy block of the README runs with socket.io-client 1.3.6', async () => {
  await using gateway = await createGateway({ demo: true });
  const { login } = await gateway.graphql.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  );
  const logs = createReceiveQueue<unknown[]>('console');
  const console = { log: (...values: unknown[]) => logs.push(values) };
  const process = { env: { TOKEN: login.token }, argv: ['node', 'send.mjs', '2015'] };
  const io = (url: string) => loadClient('1.3.6')(url, { forceNew: true });
  await runSnippet(SEND_FILE, gateway.url, { console, process, io });
  expect(await logs.next()).toEqual(['ann@example.com', 'Hello from 2015']);
});

test('the client of docs/delivery.md misses no event over a restart', async () => {
  const [recipe = ''] = findCodeBlocks(await readProjectFile('docs/delivery.md'), 'js');
  const database = await openTestDatabase();
  const env = { AUTH_SECRET: 'the same after the restart' };
  const first = await createGateway({ database, env });
  const ann = await first.createAccount();
  const { createCircle: circle } = await ann.graphql.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "0") { id } }',
  );
  const { port } = new URL(first.url);
  const events = createReceiveQueue<Record<string, unknown>>('events');
  const client = createClient({
    url: `${first.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: ann.token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    retryWait: () => pause(50),
    shouldRetry: (error) => (error as { code?: number }).code !== 4403,
  });
  const query =
    'subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { __typename cursor ... on CircleUpdated { circle { name } } } }';
  const options = { query, variables: { id: circle.id, after: null }, onEvent: events.push };
  const subscription = runSnippet(`${recipe} await follow(client, options);`, first.url, {
    client,
    options,
  }).catch((error: unknown) => error);
  const rename = 'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }';
  expect(await events.next()).toMatchObject({ __typename: 'StreamLive' });
  await ann.graphql.run(rename, { id: circle.id, name: '1' });
  expect(await events.next()).toMatchObject({ circle: { name: '1' } });
  await first[Symbol.asyncDispose]();

  await using second = await createGateway({ database, env: { ...env, PORT: port } });
  await using restartedClient = createGraphqlClient(second.url, ann.token);
  for (const name of ['2', '3']) await restartedClient.run(rename, { id: circle.id, name });
  const names: unknown[] = [];
  while (names.length < 2) {
    const { circle: updatedCircle } = (await events.next()) as { circle?: { name: string } };
    if (updatedCircle !== undefined) names.push(updatedCircle.name);
  }
  expect(names).toEqual(['2', '3']);
  await restartedClient.run('mutation ($id: ID!) { deleteCircle(circleId: $id) { id } }', { id: circle.id });
  expect(await subscription).toMatchObject([{ extensions: { reason: 'DELETED' } }]);
  await client.dispose();
});

test('the example in docs/testing.md is the one that runs here', async () => {
  const [example] = findCodeBlocks(await readProjectFile('docs/testing.md'), 'ts');
  const executed = await readProjectFile('test/docs/testing-example.test.ts');
  expect(executed).toBe(example?.replace("'parley/testing'", "'../../src/testing/index.ts'"));
});
