import { existsSync } from 'node:fs';
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
import { blocksOf, execute, read } from './snippets.ts';

const SUBSTITUTED_PORT = '4000';
const [START = '', TOKEN = '', LISTEN = '', SAY = ''] = blocksOf(await read('README.md'), 'sh');
const [LISTEN_FILE = '', SAY_FILE = ''] = blocksOf(await read('README.md'), 'js');

/** Copies the project as in a fresh clone, installed, with the two files of the README and a free port instead of 4000. */
async function cloneProject() {
  const path = await mkdtemp(join(tmpdir(), 'parley-readme-'));
  const notCloned = /^\.\/(?:node_modules|\.git|data|test\/clients\/node_modules|bench\/results)(?:\/|$)/;
  await cp(ROOT, path, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !notCloned.test(`./${relative(ROOT, source)}`),
  });
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  const port = String(await findFreePort());
  const substituted = (block: string) => block.replaceAll(SUBSTITUTED_PORT, port);
  await writeFile(join(path, 'listen.mjs'), substituted(LISTEN_FILE));
  await writeFile(join(path, 'say.mjs'), substituted(SAY_FILE));
  const env = { ...PROGRAM_ENV, HOME: process.env['HOME'] ?? '', PORT: port };
  return {
    run: (...blocks: string[]) => startProgram(['sh', '-c', substituted(blocks.join('\n'))], env, path),
    /** Runs in a terminal, where Ctrl-C can be typed. */
    runInTerminal: (block: string) =>
      startProgram(
        [requireProgram('script'), '-qefc', substituted(block), '/dev/null'],
        { ...env, TERM: 'xterm' },
        path,
      ),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

const WAYS = ['Ctrl-C', 'SIGTERM', 'SIGKILL'] as const;

async function stop(server: Program, way: (typeof WAYS)[number]): Promise<void> {
  if (way === 'Ctrl-C') server.child.stdin.write('\u0003');
  else if (way === 'SIGTERM') server.child.kill('SIGTERM');
  else server.signalGroup('SIGKILL');
  const [code] = await server.exited;
  if (way !== 'SIGKILL') expect(code).toBe(0);
}

test.skipIf(isMissing('script'))(
  'the blocks of the README run to the letter, over Ctrl-C, SIGTERM and kill -9',
  { timeout: 180_000 },
  async () => {
    await using project = await cloneProject();
    // The packages are linked already; signals go to npm, not to the shell that runs the block.
    const start = START.replace('npm ci && ', 'exec ');
    const say = async (text: string) => {
      await using saying = project.run(TOKEN, SAY.replace('2015', text));
      expect(await saying.exited).toEqual([0, null]);
      expect(saying.printed).toEqual({ stdout: `ann@example.com Hello from ${text}\n`, stderr: '' });
    };
    await using stack = new AsyncDisposableStack();
    let server = stack.use(project.runInTerminal(start));
    await waitForOutput(server.child, /Parley is running/);
    const listener = stack.use(project.run(TOKEN, LISTEN));
    await waitForOutput(listener.child, /StreamLive/);
    const said: string[] = [];
    for (const [round, way] of [...WAYS, ...WAYS].entries()) {
      await say(`before-${round}`);
      await stop(server, way);
      server = stack.use(
        WAYS[(WAYS.indexOf(way) + 1) % WAYS.length] === 'Ctrl-C'
          ? project.runInTerminal(start)
          : project.run(start),
      );
      await waitForOutput(server.child, /Parley is running|"msg":"listening"/);
      await say(`after-${round}`);
      said.push(`before-${round}`, `after-${round}`);
    }
    const expected = ['StreamLive ', ...said.map((text) => `MessageSent Hello from ${text}`)];
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
  const logged = createReceiveQueue<unknown[]>('console');
  const console = { log: (...values: unknown[]) => logged.push(values) };
  const process = { env: { TOKEN: login.token }, argv: ['node', 'say.mjs', '2015'] };
  const io = (url: string) => loadClient('1.3.6')(url, { forceNew: true });
  await execute(SAY_FILE, gateway.url, { console, process, io });
  expect(await logged.next()).toEqual(['ann@example.com', 'Hello from 2015']);
});

test('the recipe of a client that never misses anything does what it says, over a restart', async () => {
  const [recipe = ''] = blocksOf(await read('docs/delivery.md'), 'js');
  const database = await openTestDatabase();
  const env = { AUTH_SECRET: 'the same after the restart' };
  const first = await createGateway({ database, env });
  const ann = await first.createAccount();
  const { createCircle: circle } = await ann.graphql.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "0") { id } }',
  );
  const { port } = new URL(first.url);
  const seen = createReceiveQueue<Record<string, unknown>>('events');
  const client = createClient({
    url: `${first.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: ann.token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    retryWait: () => pause(50),
    shouldRetry: (problem) => (problem as { code?: number }).code !== 4403,
  });
  const query =
    'subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { __typename cursor ... on CircleUpdated { circle { name } } } }';
  const options = { query, variables: { id: circle.id, after: null }, onEvent: seen.push };
  const following = execute(`${recipe} await follow(client, options);`, first.url, { client, options }).catch(
    (problem: unknown) => problem,
  );
  const rename = 'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }';
  expect(await seen.next()).toMatchObject({ __typename: 'StreamLive' });
  await ann.graphql.run(rename, { id: circle.id, name: '1' });
  expect(await seen.next()).toMatchObject({ circle: { name: '1' } });
  await first[Symbol.asyncDispose]();

  await using second = await createGateway({ database, env: { ...env, PORT: port } });
  await using again = createGraphqlClient(second.url, ann.token);
  for (const name of ['2', '3']) await again.run(rename, { id: circle.id, name });
  const names: unknown[] = [];
  while (names.length < 2) {
    const { circle: shown } = (await seen.next()) as { circle?: { name: string } };
    if (shown !== undefined) names.push(shown.name);
  }
  expect(names).toEqual(['2', '3']);
  await again.run('mutation ($id: ID!) { deleteCircle(circleId: $id) { id } }', { id: circle.id });
  expect(await following).toMatchObject([{ extensions: { reason: 'DELETED' } }]);
  await client.dispose();
});

test('the example for other suites is the one that runs here', async () => {
  const [example] = blocksOf(await read('docs/testing.md'), 'ts');
  const executed = await read('test/docs/testing-example.test.ts');
  expect(executed).toBe(example?.replace("'parley/testing'", "'../../src/testing/index.ts'"));
});

test('every file that the documents name exists', async () => {
  const documents = ['testing', 'delivery', 'operations'].map((name) => `docs/${name}.md`);
  for (const document of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...documents]) {
    const text = await read(document);
    const folder = document.includes('/') ? 'docs/' : '';
    const links = [...text.matchAll(/\]\((?!http)([^)#]+)[^)]*\)/g)].map(
      (match) => folder + (match[1] ?? ''),
    );
    const paths = [...text.matchAll(/`((?:src|test|docs|scripts)\/[\w./-]+\.\w+)`/g)].map(
      (match) => match[1] ?? '',
    );
    for (const path of [...links, ...paths]) {
      expect(existsSync(new URL(`../../${path}`, import.meta.url)), `${document} names ${path}`).toBe(true);
    }
  }
});
