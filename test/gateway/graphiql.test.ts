import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createDataFolder } from '../harness/data-folder.ts';

const HTML = { accept: 'text/html' };

const readPage = async (url: string) => (await fetch(`${url}/graphql`, { headers: HTML })).text();

test('a browser that has the GraphiQL page receives 304', async () => {
  await using app = await startTestApp();
  const first = await fetch(`${app.url}/graphql`, { headers: HTML });
  expect(first.status).toBe(200);
  expect(first.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(first.headers.get('x-content-type-options')).toBe('nosniff');
  const page = await first.text();
  expect(page).toContain('<title>Parley</title>');
  const etag = first.headers.get('etag') ?? '';
  const second = await fetch(`${app.url}/graphql`, { headers: { ...HTML, 'if-none-match': etag } });
  expect([second.status, await second.text()]).toEqual([304, '']);
  const head = await fetch(`${app.url}/graphql`, { method: 'HEAD', headers: HTML });
  expect(head.headers.get('content-length')).toBe(String(Buffer.byteLength(page)));
  expect(head.headers.get('etag')).toBe(etag);
});

test('a browser that has the files of GraphiQL receives 304', async () => {
  await using app = await startTestApp();
  for (const name of [
    'vendor/graphiql.js',
    'vendor/graphiql.css',
    'vendor/editorWorkerService.js',
    'main.js',
  ]) {
    const url = `${app.url}/graphiql/${name}`;
    const first = await fetch(url);
    expect([name, first.status]).toEqual([name, 200]);
    await first.arrayBuffer();
    const second = await fetch(url, { headers: { 'if-none-match': first.headers.get('etag') ?? '' } });
    expect([name, second.status]).toEqual([name, 304]);
  }
  for (const name of ['', 'nothing.js', '../page.js', '%2e%2e/page.js', 'vendor/'])
    expect([name, (await fetch(`${app.url}/graphiql/${name}`)).status]).toEqual([name, 404]);
});

test('the page offers demo accounts where they may log in', async () => {
  await using demo = await startTestApp({ demo: true });
  expect(await readPage(demo.url)).toContain('ann@example.com&quot;,&quot;bob@example.com');
  await using empty = await startTestApp();
  expect(await readPage(empty.url)).toContain('&quot;accounts&quot;:[]');
  await using folder = await createDataFolder();
  const list = join(folder.path, 'operations.json');
  await writeFile(list, JSON.stringify({ name: '{ __typename }' }));
  await using persisted = await startTestApp({
    demo: true,
    env: { OPERATIONS: 'persisted', PERSISTED_OPERATIONS: list },
  });
  expect(await readPage(persisted.url)).toContain('&quot;accounts&quot;:[]');
});

test('without GraphiQL a browser receives no page', async () => {
  await using app = await startTestApp({ env: { GRAPHIQL: 'off' } });
  const response = await fetch(`${app.url}/graphql`, { headers: HTML });
  expect(await response.text()).not.toContain('<title>');
  expect((await fetch(`${app.url}/graphiql/main.js`)).status).toBe(404);
});
