import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import { createS3Storage } from '../../src/services/media-storage-s3.ts';
import type { MediaStorage, RecordName } from '../../src/services/media-storage.ts';
import { S3Client } from '../../src/services/s3-client.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { PNG } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';
import type { S3Server } from '../harness/s3.ts';

interface OpenStorage extends AsyncDisposable {
  readonly storage: MediaStorage;
  /** The names of all that is stored, partial files included. */
  listFiles(): Promise<string[]>;
}

const createFolder = () => mkdtemp(join(tmpdir(), 'parley-media-'));

async function openFolder(): Promise<OpenStorage> {
  const dir = await createFolder();
  const storage = await createFolderStorage(dir);
  return {
    storage,
    listFiles: () => readdir(dir),
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

interface OpenBucket extends OpenStorage {
  readonly client: S3Client;
  readonly server: S3Server;
}

async function openS3(partBytes?: number): Promise<OpenBucket> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startS3());
  const spoolDir = await createFolder();
  stack.defer(() => rm(spoolDir, { recursive: true }));
  const client = new S3Client({ ...server.settings, now: () => Date.now(), log: createLogger('silent') });
  const storage = stack.use(await createS3Storage({ client, spoolDir, ...(partBytes && { partBytes }) }));
  const owned = stack.move();
  return {
    storage,
    client,
    server,
    listFiles: async () => [...(await server.listObjects()), ...(await readdir(spoolDir))],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe.each([
  ['a folder', openFolder, 9_000_000],
  ['a bucket', () => openS3(), 9_000_000],
  ['a bucket, in parts', () => openS3(50), 1_010],
])('%s', (_name, open, largeBytes) => {
  test('stores files, and returns them whole or in part', async () => {
    await using opened = await open();
    const { storage, listFiles } = opened;
    let announcedName = '';
    const stored = await storage.write(
      Readable.from([PNG.subarray(0, 10), PNG.subarray(10)]),
      1_000,
      async (name) => {
        // Named again before its parts, from the folder in which it waits.
        if (announcedName === '') expect(await listFiles()).toEqual([]);
        announcedName = name;
      },
    );
    expect(stored).toEqual({ name: announcedName, size: PNG.length, contentType: 'image/png' });
    expect(await listFiles()).toEqual([stored.name]);
    expect(await buffer(await storage.read(stored.name))).toEqual(PNG);
    expect(await text(await storage.read(stored.name, { start: 1, end: 3 }))).toBe('PNG');
    const last = PNG.length - 1;
    expect(await buffer(await storage.read(stored.name, { start: last, end: last }))).toEqual(
      PNG.subarray(last),
    );
    (await storage.read(stored.name)).destroy();
    await storage.remove([stored.name, crypto.randomUUID()]);
    expect(await listFiles()).toEqual([]);
    await expect(storage.read(stored.name)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  });

  test('stores an empty file, and a large one', async () => {
    await using opened = await open();
    const { storage } = opened;
    const empty = await storage.write(Readable.from([]), 1_000);
    expect(await buffer(await storage.read(empty.name))).toEqual(Buffer.alloc(0));
    const large = Buffer.alloc(largeBytes, 'abcdefg');
    const { name, size } = await storage.write(Readable.from([large]), large.length);
    expect(size).toBe(large.length);
    expect((await buffer(await storage.read(name))).equals(large)).toBe(true);
  });

  test('stores nothing of content that is too large or fails', async () => {
    await using opened = await open();
    const { storage, listFiles } = opened;
    const content = () => Readable.from([Buffer.alloc(600), Buffer.alloc(600)]);
    await expect(storage.write(content(), 1_000)).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED'));
    const failing = new Readable({ read() {} });
    failing.push('half');
    const write = storage.write(failing, 1_000);
    failing.destroy(new Error('The client aborted the request'));
    await expect(write).rejects.toThrow('The client aborted the request');
    expect(await listFiles()).toEqual([]);
  });

  test('rejects a name that it did not choose', async () => {
    await using opened = await open();
    const { storage } = opened;
    for (const name of ['../../etc/passwd', '/etc/passwd', '', '.', `${crypto.randomUUID()}.part`]) {
      await expect(storage.read(name)).rejects.toThrow('Invalid name');
      await expect(storage.remove([name])).rejects.toThrow('Invalid name');
    }
  });

  test('waits for writes in flight before it closes', async () => {
    await using opened = await open();
    const { storage, listFiles } = opened;
    const content = new Readable({ read() {} });
    const write = storage.write(content, 1_000);
    const closed = storage[Symbol.asyncDispose]();
    content.push('late');
    content.push(null);
    await closed;
    expect(await listFiles()).toEqual([(await write).name]);
  });
});

test('a bucket serves files itself, with the headers of the request', async () => {
  await using opened = await openS3();
  const { storage } = opened;
  const { name } = await storage.write(Readable.from([PNG]), 1_000);
  const headers = { contentType: 'image/png', disposition: 'attachment; filename=cat.png' };
  const url = (await storage.presignDownload(name, headers)) ?? '';
  const response = await fetch(url);
  expect([response.status, Buffer.from(await response.arrayBuffer())]).toEqual([200, PNG]);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': headers.contentType,
    'content-disposition': headers.disposition,
    'cache-control': 'private',
  });
  for (const changed of [url.replace(name, crypto.randomUUID()), url.replace('Expires=120', 'Expires=9999')])
    expect((await fetch(changed)).status).toBe(403);
});

test('a client uploads a file to a bucket itself, of the declared size only', async () => {
  await using opened = await openS3();
  const { storage, listFiles } = opened;
  const names: string[] = [];
  const recordName = async (name: string) => void names.push(name);
  const upload = await storage.presignUpload(PNG.length, recordName);
  if (upload === undefined) throw new Error('The bucket takes no uploads');
  expect(names).toEqual([upload.name]);
  await expect(storage.adopt(upload.name, PNG.length, recordName)).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  const put = async (content: Uint8Array<ArrayBuffer>) =>
    (await fetch(upload.url, { method: 'PUT', body: content })).status;
  expect(await put(Buffer.alloc(PNG.length + 1))).toBe(403);
  expect(await listFiles()).toEqual([]);
  expect(await put(PNG)).toBe(200);
  await expect(storage.adopt(upload.name, 1, recordName)).rejects.toThrow(errorWithCode('INVALID_INPUT'));
  const stored = await storage.adopt(upload.name, PNG.length, recordName);
  expect(stored).toEqual({ name: names.at(-1), size: PNG.length, contentType: 'image/png' });
  // The URL is still valid, but the file is out of its reach.
  expect(await put(Buffer.alloc(PNG.length))).toBe(200);
  expect(await buffer(await storage.read(stored.name))).toEqual(PNG);
});

test('a large file is stored and copied in parts, each of which is recorded before', async () => {
  await using opened = await openS3(100);
  const { storage, server, listFiles } = opened;
  const content = Buffer.from(Uint8Array.from({ length: 1_010 }, (_byte, index) => index % 251));
  const recorded: (readonly [string, boolean])[] = [];
  const record: RecordName = async (name, partUploadId) => {
    expect(await server.listPartUploads()).toEqual(partUploadId === undefined ? [] : [partUploadId]);
    recorded.push([name, partUploadId !== undefined]);
  };
  const { name } = await storage.write(Readable.from([content]), 2_000, record);
  const adopted = await storage.adopt(name, content.length, record);
  expect(recorded).toEqual(
    [name, adopted.name].flatMap((key) => [false, true].map((isParts) => [key, isParts])),
  );
  for (const stored of [name, adopted.name])
    expect((await buffer(await storage.read(stored))).equals(content)).toBe(true);
  expect((await listFiles()).sort()).toEqual([name, adopted.name].sort());
  expect(await server.listPartUploads()).toEqual([]);
});

test('a copy in parts that fails leaves none behind', async () => {
  await using opened = await openS3(100);
  const { storage, client, server, listFiles } = opened;
  const { name, size } = await storage.write(Readable.from([Buffer.alloc(1_000)]), 1_000);
  const copies = vi.spyOn(client, 'copyPart');
  // The file is removed during the copy, as by the retention.
  copies.mockImplementationOnce(async (...args) => {
    await client.delete(name);
    return S3Client.prototype.copyPart.apply(client, args);
  });
  const adopt = () => storage.adopt(name, size, async () => undefined);
  await expect(adopt()).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await client.put(name, new Blob([Buffer.alloc(size)]));
  copies.mockRejectedValueOnce(new Error('The connection was lost'));
  await expect(adopt()).rejects.toThrow('The connection was lost');
  expect([await server.listPartUploads(), await listFiles()]).toEqual([[], [name]]);
});

test('the time limit of a transfer follows its size', async () => {
  const settings = { endpoint: 'http://127.0.0.1:1', bucket: 'media', region: 'eu' };
  const keys = { accessKeyId: 'a', secretAccessKey: 'b' };
  const client = new S3Client({ ...settings, ...keys, now: () => Date.now(), log: createLogger('silent') });
  const limits = vi.spyOn(AbortSignal, 'timeout');
  const position = { uploadId: 'a', number: 1 };
  const parts = [1, 2].map((number) => ({ number, size: 500_000_000, etag: '' }));
  await Promise.allSettled([
    client.copy('a', 'b', 1_000_000_000),
    client.copyPart('a', 'b', position, { start: 5, end: 1_000_000_004 }),
    client.completeParts('a', 'b', parts),
    client.read('a', { start: 0, end: 999_999_999 }),
  ]);
  expect(limits.mock.calls).toEqual([[1_030_000], [1_030_000], [1_030_000], [1_030_000]]);
  limits.mockRestore();
});

test('a folder takes no uploads of clients', async () => {
  await using opened = await openFolder();
  const { storage } = opened;
  const onName = () => Promise.reject(new Error('A name was chosen'));
  expect(await storage.presignUpload(1, onName)).toBeUndefined();
});

test('a presigned URL is the same for a minute', async () => {
  const settings = {
    endpoint: 'https://s3.example.com/',
    bucket: 'media',
    region: 'eu',
    accessKeyId: 'a',
    secretAccessKey: 'b',
  };
  const clock = { now: 60_000 * 30_000_000 };
  const client = new S3Client({ ...settings, now: () => clock.now, log: createLogger('silent') });
  const presign = () => client.presignDownload('key', { contentType: 'image/png', disposition: 'inline' });
  const first = await presign();
  expect(first).toMatch(/^https:\/\/s3\.example\.com\/media\/key\?X-Amz-Expires=120&/);
  clock.now += 59_999;
  expect(await presign()).toBe(first);
  clock.now += 1;
  expect(await presign()).not.toBe(first);
});

test('a bucket that is missing or unreachable is UNAVAILABLE', async () => {
  await using server = await startS3();
  const createClient = (changes: Partial<typeof server.settings>) =>
    new S3Client({ ...server.settings, ...changes, now: () => Date.now(), log: createLogger('silent') });
  await createClient({}).checkBucket();
  for (const changes of [
    { bucket: 'other' },
    { secretAccessKey: 'wrong' },
    { endpoint: 'http://127.0.0.1:1' },
  ])
    await expect(createClient(changes).checkBucket()).rejects.toThrow(errorWithCode('UNAVAILABLE'));
});
