import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

/** Returns the targets of links and images, apart from those of other hosts. */
const targetsOf = (page: string): string[] =>
  [...page.matchAll(/(?:href|src)="(?!https?:)([^"]+)"/g)].map(([, target = '']) => target);

test('every link of the pages and documents leads to what it names', { timeout: 60_000 }, async () => {
  await using app = await startTestApp();
  const pages = new Map<string, string>();
  const queue = ['/', '/README.md'];
  const links: (readonly [page: string, target: URL])[] = [];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    if (pages.has(path)) continue;
    const response = await fetch(app.url + path, { headers: { accept: 'text/html' } });
    expect([path, response.status]).toEqual([path, 200]);
    const text = await response.text();
    const isPage = response.headers.get('content-type')?.startsWith('text/html') === true;
    pages.set(path, isPage ? text : '');
    if (!isPage) continue;
    for (const target of targetsOf(text)) {
      const url = new URL(target, app.url + path);
      links.push([path, url]);
      queue.push(url.pathname);
    }
  }
  for (const [page, { pathname, hash }] of links)
    if (hash !== '')
      expect(pages.get(pathname), `${page} links to ${pathname}${hash}`).toContain(`id="${hash.slice(1)}"`);
  expect([...pages.keys()]).toEqual(
    expect.arrayContaining([
      '/docs/errors.md',
      '/docs/operations/runbooks.md',
      '/docs/demo-page.png',
      '/schema.graphql',
      '/SECURITY.md',
    ]),
  );
});

test('a document is a page without scripts, and a browser that has it receives 304', async () => {
  await using app = await startTestApp();
  const first = await fetch(`${app.url}/docs/delivery.md`);
  expect(first.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(first.headers.get('content-security-policy')).not.toContain('script-src');
  const page = await first.text();
  expect(page).toContain('<title>Delivery · Parley</title>');
  expect(page).not.toContain('<script');
  const etag = first.headers.get('etag') ?? '';
  expect((await fetch(`${app.url}/docs/delivery.md`, { headers: { 'if-none-match': etag } })).status).toBe(
    304,
  );
});

test('only documents are served', async () => {
  await using app = await startTestApp();
  for (const path of [
    '/docs/',
    '/docs/nothing.md',
    '/docs/..%2fpackage.json',
    '/docs/%2e%2e/package.json',
    '/package.json',
  ])
    expect([path, (await fetch(app.url + path)).status]).toEqual([path, 404]);
});
