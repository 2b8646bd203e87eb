import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const HTML = { accept: 'text/html' };

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

test('without GraphiQL a browser receives no page', async () => {
  await using app = await startTestApp({ env: { GRAPHIQL: 'off' } });
  const response = await fetch(`${app.url}/graphql`, { headers: HTML });
  expect(await response.text()).not.toContain('<title>');
});
