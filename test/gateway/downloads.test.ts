import { expect, test } from 'vitest';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const TEXT = 'abcdefghij';

async function upload(app: TestGateway, account: TestAccount, id: string, name: string, content = TEXT) {
  const form = new FormData();
  form.set('file', new File([content], name));
  const response = await fetch(`${app.url}/media/upload/${id}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${account.token}` },
    body: form,
  });
  expect(response.status).toBe(200);
}

/** Stores a file and returns a function that downloads it. */
async function storeFile(app: TestGateway, name = 'plain.txt') {
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: result } = await sendMessage(ann, conversation, 'files', [name]);
  const id = result.media[0]?.id.replace('Media:', '') ?? '';
  await upload(app, ann, id, name);
  const download = (headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${app.url}/media/${id}`, {
      method,
      headers: { authorization: `Bearer ${bob.token}`, ...headers },
    });
  return { id, ann, download };
}

test('a request with a current validator is 304, and one with an outdated validator receives the whole file', async () => {
  await using app = await startTestApp();
  const { id, ann, download } = await storeFile(app);
  const first = await download();
  const etag = first.headers.get('etag') ?? '';
  const modified = first.headers.get('last-modified') ?? '';
  expect(etag).toMatch(/^"[\w-]+"$/);
  expect(Date.parse(modified)).toBeGreaterThan(0);
  expect(first.headers.get('cache-control')).toBe('private, no-cache');
  expect(first.headers.get('vary')).toBe('Origin, Authorization');
  const conditions: Record<string, string>[] = [
    { 'if-none-match': etag },
    { 'if-none-match': `"other", W/${etag}` },
    { 'if-none-match': '*' },
    { 'if-modified-since': modified },
  ];
  for (const headers of conditions) {
    const cached = await download({ ...headers, range: 'bytes=0-1' });
    expect([cached.status, await cached.text()], JSON.stringify(headers)).toEqual([304, '']);
    expect(cached.headers.get('etag')).toBe(etag);
    expect(cached.headers.get('content-type')).toBeNull();
  }
  expect((await download({ 'if-none-match': '"other"' })).status).toBe(200);
  await upload(app, ann, id, 'plain.txt', 'replaced');
  const replaced = await download({ 'if-none-match': etag });
  expect([replaced.status, await replaced.text()]).toEqual([200, 'replaced']);
});

test('ranges of a file are served', async () => {
  await using app = await startTestApp();
  const { download } = await storeFile(app);
  for (const [range, status, text, contentRange] of [
    ['bytes=2-4', 206, 'cde', 'bytes 2-4/10'],
    ['Bytes=8-', 206, 'ij', 'bytes 8-9/10'],
    ['bytes=-3', 206, 'hij', 'bytes 7-9/10'],
    ['bytes=5-99', 206, 'fghij', 'bytes 5-9/10'],
    ['bytes=0-3, 4-5', 206, 'abcdef', 'bytes 0-5/10'],
    ['bytes=0-0,99-', 206, 'a', 'bytes 0-0/10'],
    ['bytes=0-1,8-9', 200, TEXT, null],
    ['bytes=4-2', 200, TEXT, null],
    ['lines=1-2', 200, TEXT, null],
    ['nonsense', 200, TEXT, null],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=-0', 416, '', 'bytes */10'],
  ] as const) {
    const response = await download({ range });
    expect([response.status, await response.text(), response.headers.get('content-range')], range).toEqual([
      status,
      text,
      contentRange,
    ]);
    expect(response.headers.get('accept-ranges')).toBe('bytes');
  }
  const head = await download({ range: 'bytes=2-4' }, 'HEAD');
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '10']);
});

test('an interrupted download resumes only if the file is unchanged', async () => {
  await using app = await startTestApp();
  const { download } = await storeFile(app);
  const { headers } = await download();
  const etag = headers.get('etag') ?? '';
  const modified = headers.get('last-modified') ?? '';
  const resumeDownload = async (condition: string) =>
    (await download({ range: 'bytes=5-', 'if-range': condition })).status;
  expect(await resumeDownload(etag)).toBe(206);
  expect(await resumeDownload(modified)).toBe(206);
  for (const other of ['"other"', `W/${etag}`, new Date(0).toUTCString()])
    expect(await resumeDownload(other)).toBe(200);
});

test.each([
  ['plain.txt', 'inline; filename=plain.txt'],
  ['photo (1).png', 'inline; filename="photo (1).png"'],
  ["John's photo.png", `inline; filename="John's photo.png"`],
  ['été.txt', `inline; filename=ete.txt; filename*=UTF-8''%C3%A9t%C3%A9.txt`],
  [
    "写真 (1)'*.txt",
    `inline; filename="_ (1)'*.txt"; filename*=UTF-8''%E5%86%99%E7%9C%9F%20%281%29%27%2A.txt`,
  ],
  ['50%20.txt', `inline; filename=50%20.txt; filename*=UTF-8''50%2520.txt`],
])('%s has a Content-Disposition that every client understands', async (name, disposition) => {
  await using app = await startTestApp();
  const { download } = await storeFile(app, name);
  expect((await download()).headers.get('content-disposition')).toBe(disposition);
});

test('a media path with extra segments or an extension is 404', async () => {
  await using app = await startTestApp();
  const { id, ann } = await storeFile(app);
  const readStatus = async (path: string) =>
    (await fetch(app.url + path, { headers: { authorization: `Bearer ${ann.token}` } })).status;
  for (const path of [`/media/${id}`, `/media/${id}/`, `//media//${id}?x`])
    expect(await readStatus(path), path).toBe(200);
  for (const path of [`/media/x/${id}`, '/media', `/media/${id}.txt`])
    expect(await readStatus(path), path).toBe(404);
});

test('static files with a current ETag are 304', async () => {
  await using app = await startTestApp();
  for (const path of ['/', '/channels', '/asyncapi.yaml', '/page/style.css', '/page/element.js']) {
    const first = await fetch(app.url + path);
    await first.text();
    const cached = await fetch(app.url + path, {
      headers: { 'if-none-match': first.headers.get('etag') ?? '' },
    });
    expect(cached.status, path).toBe(304);
    // A browser applies it to its copy: that of errors would allow no script.
    const policy = 'content-security-policy';
    expect(cached.headers.get(policy), path).toBe(first.headers.get(policy));
    expect(cached.headers.get('cache-control'), path).toBe('no-cache');
  }
});

test('results and health states are not cacheable', async () => {
  await using app = await startTestApp();
  const readCacheControl = async (path: string) => (await fetch(app.url + path)).headers.get('cache-control');
  expect(await readCacheControl('/graphql?query={__typename}')).toBe('private, no-cache');
  for (const path of ['/healthz', '/readyz', '/nothing'])
    expect(await readCacheControl(path), path).toBe('no-store');
});
