import { existsSync } from 'node:fs';
import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import { createInbox } from '../../src/testing/inbox.ts';
import { loadClient } from '../clients/load.ts';
import { testDatabase } from '../harness/database.ts';
import { blocksOf, execute, read } from './snippets.ts';

test('the snippets of the README work as they stand', async () => {
  await using gateway = await createGateway({ demo: true });
  const readme = await read('README.md');
  const [subscribe = '', say = ''] = blocksOf(readme, 'js');
  const login = blocksOf(readme, 'sh').find((block) => block.includes('curl')) ?? '';
  const body = /-d '(.*)'/.exec(login)?.[1] ?? '';
  const response = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const { data } = (await response.json()) as { data: { login: { token: string } } };
  const { token } = data.login;

  const logged = createInbox<unknown[]>('console');
  const console = { log: (...values: unknown[]) => logged.push(values) };
  const clients: { dispose(): unknown }[] = [];
  const subscribing = execute(subscribe, gateway.url, {
    console,
    token,
    createClient: (options: { url: string }) => {
      const client = createClient({ ...options, webSocketImpl: WebSocket });
      clients.push(client);
      return client;
    },
  });
  expect(await logged.next()).toMatchObject([{ __typename: 'StreamLive' }]);

  const sockets: { close(): unknown }[] = [];
  const io = (url: string) => {
    const socket = loadClient('1.3.6')(url, { forceNew: true });
    sockets.push(socket);
    return socket;
  };
  await execute(say, gateway.url, { console, token, io });
  const seen = [await logged.next(), await logged.next()];
  expect(seen).toContainEqual([
    expect.objectContaining({ __typename: 'MessageSent', message: { text: 'Hello from 2015' } }),
  ]);
  expect(seen).toContainEqual(['ann@example.com', 'Hello from 2015']);

  for (const socket of sockets) socket.close();
  for (const client of clients) client.dispose();
  await subscribing;
});

test('the recipe of a client that never misses anything does what it says, over a restart', async () => {
  const [recipe = ''] = blocksOf(await read('docs/delivery.md'), 'js');
  const database = await testDatabase();
  const env = { AUTH_SECRET: 'the same after the restart' };
  const first = await createGateway({ database, env });
  const ann = await first.account();
  const { createCircle: circle } = await ann.graphql.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "0") { id } }',
  );
  const { port } = new URL(first.url);
  const seen = createInbox<Record<string, unknown>>('events');
  const client = createClient({
    url: `${first.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: ann.token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
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

test('the example for other people’s suites is the one that runs here', async () => {
  const [example] = blocksOf(await read('docs/testing.md'), 'ts');
  const executed = await read('test/docs/testing-example.test.ts');
  expect(executed).toBe(example?.replace("'parley/testing'", "'../../src/testing/index.ts'"));
});

test('every file that the documents name is there', async () => {
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
