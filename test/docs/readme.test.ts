import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createGateway } from '../../src/testing/index.ts';
import { createInbox } from '../../src/testing/inbox.ts';
import { loadClient } from '../clients/load.ts';

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The code blocks of a document in one language. */
const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1] ?? '');

/** Runs a snippet as a script of its own, with what a page or a script would have at hand. */
async function execute(snippet: string, url: string, scope: Record<string, unknown>): Promise<void> {
  const code = snippet.replaceAll('127.0.0.1:4000', new URL(url).host).replace(/^import .*$/gm, '');
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...values: unknown[]) => Promise<void>;
  await new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope));
}

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

test('the example for other people’s suites is the one that runs here', async () => {
  const [example] = blocksOf(await read('docs/testing.md'), 'ts');
  const executed = await read('test/docs/testing-example.test.ts');
  expect(executed).toBe(example?.replace("'parley/testing'", "'../../src/testing/index.ts'"));
});

test('every file that the documents name is there', async () => {
  for (const document of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/testing.md']) {
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
