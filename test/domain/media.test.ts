import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { blockAccount } from '../../src/domain/account-control.ts';
import * as conversations from '../../src/domain/conversations.ts';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { splitFilename } from '../../src/domain/media.ts';
import * as downloads from '../../src/domain/media-downloads.ts';
import * as media from '../../src/domain/media.ts';
import * as messages from '../../src/domain/messages.ts';
import { sweep } from '../../src/services/retention.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import type { MediaStorage } from '../../src/services/media-storage.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { MediaId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  readEvents,
  readOutcomes,
  createUsers,
} from '../harness/domain-fixtures.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { indexes } from '../harness/numbers.ts';
import { stagger } from '../harness/waiting.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const UNNAMED = 'upload.bin';

/** Creates a storage in a folder that the test can read. */
async function openTestStorage() {
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  return {
    dir,
    storage: await createFolderStorage(dir),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

/** Creates the domain with such a storage, and a conversation of Ann and Bob. */
async function createMediaFixture() {
  const [deps, folder] = [await createTestDeps(), await openTestStorage()];
  const { dir, storage } = folder;
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const conversation = await createConversation(deps, circle, ann, bob);
  const conversationId = conversation.id;
  const mediaDeps: Deps = { ...deps, mediaStorage: storage };
  return {
    deps: mediaDeps,
    dir,
    listFiles: () => readdir(dir),
    users: { ann, bob, eve },
    circle,
    conversationId,
    topic: conversationTopic(conversationId),
    send: (...files: string[]) => messages.sendMessage(mediaDeps, ann.actor, { conversationId, files }),
    upload: (mediaId: MediaId, content: Uint8Array | string, filename = UNNAMED, actor = ann.actor) =>
      media.uploadMedia(mediaDeps, actor, {
        mediaId,
        filename,
        content: Readable.from([Buffer.from(content)]),
      }),
    async [Symbol.asyncDispose]() {
      await deps[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const firstMediaId = ({ media: [first] }: messages.SentMessage): MediaId => {
  if (first === undefined) throw new Error('The message has no media');
  return first.id;
};

async function readMedia(
  deps: Deps,
  actor: Parameters<typeof downloads.openMedia>[1],
  id: MediaId,
): Promise<Buffer> {
  return buffer(await (await downloads.openMedia(deps, actor, id)).read());
}

test('an uploaded file is stored, published, and served with its detected type', async () => {
  await using fixture = await createMediaFixture();
  const result = await fixture.send('cat');
  const id = firstMediaId(result);
  const uploaded = await fixture.upload(id, PNG, 'C:\\Users\\ann\\my cat.PNG');
  expect(uploaded).toEqual({
    id,
    messageId: result.message.id,
    identifier: 'cat',
    filename: 'my cat',
    extension: '.PNG',
    contentType: 'image/png',
    size: PNG.length,
    uploadedAt: expect.any(String) as string,
  });
  expect((await readEvents(fixture.deps, fixture.topic)).at(-1)).toEqual({
    type: 'media.uploaded',
    uploaded,
    message: { ...result.message, status: 'DONE', updatedAt: expect.any(String) as string },
    author: result.author,
    media: [uploaded],
  });
  const opened = await downloads.openMedia(fixture.deps, fixture.users.bob.actor, id);
  expect(opened).toMatchObject({ media: uploaded, size: PNG.length, contentType: 'image/png' });
  expect(await buffer(await opened.read())).toEqual(PNG);
  expect(await buffer(await opened.read({ start: 1, end: 3 }))).toEqual(Buffer.from('PNG'));
  expect(await downloads.requireMedia(fixture.deps, fixture.users.bob.actor, id)).toEqual(uploaded);
});

test('the last file completes its message, and each upload publishes an event', async () => {
  await using fixture = await createMediaFixture();
  const { media: pendingMedia, message } = await fixture.send('a', 'b', 'c');
  for (const { id } of pendingMedia.toReversed()) await fixture.upload(id, 'x');
  const uploads = (await readEvents(fixture.deps, fixture.topic)).flatMap((event) =>
    event.type === 'media.uploaded' ? [event] : [],
  );
  expect(uploads.map((event) => event.uploaded.id)).toEqual(pendingMedia.map(({ id }) => id).toReversed());
  expect(uploads.map((event) => event.message.status)).toEqual(['PENDING', 'PENDING', 'DONE']);
  expect(uploads.map((event) => event.media.filter(({ uploadedAt }) => uploadedAt !== null).length)).toEqual([
    1, 2, 3,
  ]);
  expect(uploads[2]?.media.map(({ identifier }) => identifier)).toEqual(['a', 'b', 'c']);
  expect(await messages.requireMessage(fixture.deps, fixture.users.bob.actor, message.id)).toMatchObject({
    status: 'DONE',
  });
});

test('concurrent uploads complete the message once', async () => {
  await using fixture = await createMediaFixture();
  const { media: pendingMedia } = await fixture.send(...indexes(8).map(String));
  await Promise.all(pendingMedia.map(({ id, identifier }) => fixture.upload(id, identifier)));
  const statuses = (await readEvents(fixture.deps, fixture.topic)).flatMap((event) =>
    event.type === 'media.uploaded' ? [event.message.status] : [],
  );
  expect(statuses).toEqual([...indexes(7).map(() => 'PENDING'), 'DONE']);
  for (const { id, identifier } of pendingMedia) {
    expect((await readMedia(fixture.deps, fixture.users.bob.actor, id)).toString()).toBe(identifier);
  }
});

test('a second upload replaces the first, whose file is removed', async () => {
  await using fixture = await createMediaFixture();
  const id = firstMediaId(await fixture.send('a'));
  await fixture.upload(id, 'first', 'first.txt');
  await fixture.upload(id, 'second', 'second.md');
  expect((await readMedia(fixture.deps, fixture.users.ann.actor, id)).toString()).toBe('second');
  expect(await fixture.listFiles()).toHaveLength(1);
  await Promise.all(indexes(6).map((number) => fixture.upload(id, `upload ${number}`)));
  expect(await fixture.listFiles()).toHaveLength(1);
  expect((await readMedia(fixture.deps, fixture.users.ann.actor, id)).toString()).toMatch(/^upload \d$/);
});

test('only the author can upload, and only while it has access', async () => {
  await using fixture = await createMediaFixture();
  const { ann, bob, eve } = fixture.users;
  const id = firstMediaId(await fixture.send('a'));
  await expect(fixture.upload(id, 'x', UNNAMED, bob.actor)).rejects.toThrow(errorWithCode('FORBIDDEN'));
  await expect(fixture.upload(id, 'x', UNNAMED, eve.actor)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(fixture.upload(999 as MediaId, 'x')).rejects.toThrow(errorWithCode('NOT_FOUND'));
  const { conversationId } = fixture;
  await conversations.inviteToConversation(fixture.deps, ann.actor, { conversationId, email: eve.email });
  await conversations.leaveConversation(fixture.deps, ann.actor, { conversationId });
  await expect(fixture.upload(id, 'x')).rejects.toThrow(errorWithCode('FORBIDDEN'));
  expect(await fixture.listFiles()).toEqual([]);
});

test('a file is readable by the conversation only, and only once uploaded', async () => {
  await using fixture = await createMediaFixture();
  const { ann, bob, eve } = fixture.users;
  const id = firstMediaId(await fixture.send('a'));
  await expect(downloads.openMedia(fixture.deps, bob.actor, id)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  expect(await downloads.requireMedia(fixture.deps, bob.actor, id)).toMatchObject({ uploadedAt: null });
  await fixture.upload(id, 'x');
  await expect(downloads.openMedia(fixture.deps, eve.actor, id)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(downloads.requireMedia(fixture.deps, eve.actor, id)).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  const device = await createDevice(fixture.deps, fixture.circle, ann);
  await expect(downloads.openMedia(fixture.deps, device, id)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await conversations.setDeviceAccess(fixture.deps, ann.actor, {
    conversationId: fixture.conversationId,
    allowed: true,
  });
  expect((await readMedia(fixture.deps, device, id)).toString()).toBe('x');
});

test('a device can upload to its own message', async () => {
  await using fixture = await createMediaFixture();
  const { ann } = fixture.users;
  const { conversationId } = fixture;
  const device = await createDevice(fixture.deps, fixture.circle, ann);
  await conversations.setDeviceAccess(fixture.deps, ann.actor, { conversationId, allowed: true });
  const result = await messages.sendMessage(fixture.deps, device, { conversationId, files: ['a'] });
  const content = Readable.from([PNG]);
  const uploaded = await media.uploadMedia(fixture.deps, device, {
    mediaId: firstMediaId(result),
    filename: 'a.png',
    content,
  });
  expect(uploaded).toMatchObject({ contentType: 'image/png' });
  await expect(fixture.upload(firstMediaId(result), 'x')).rejects.toThrow(errorWithCode('FORBIDDEN'));
});

test('a file that is too large is rejected and leaves no partial file', async () => {
  await using fixture = await createMediaFixture();
  const deps = { ...fixture.deps, config: { ...fixture.deps.config, MAX_UPLOAD_BYTES: 1_000 } };
  const id = firstMediaId(await fixture.send('a'));
  const upload = (content: Readable) =>
    media.uploadMedia(deps, fixture.users.ann.actor, { mediaId: id, filename: 'a', content });
  let produced = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        produced += 100;
        yield Buffer.alloc(100);
      }
    })(),
  );
  await expect(upload(endless)).rejects.toThrow(
    errorWithCode('LIMIT_EXCEEDED', { limit: 'MAX_UPLOAD_BYTES' }),
  );
  expect(endless.destroyed).toBe(true);
  expect(produced).toBeLessThan(100_000);
  expect(await fixture.listFiles()).toEqual([]);
  await upload(Readable.from([Buffer.alloc(1_000)]));
  expect(await downloads.requireMedia(fixture.deps, fixture.users.ann.actor, id)).toMatchObject({
    size: 1_000,
  });
});

test('an aborted upload leaves no partial file, and keeps the earlier file', async () => {
  await using fixture = await createMediaFixture();
  const id = firstMediaId(await fixture.send('a'));
  await fixture.upload(id, 'complete');
  /** Uploads bytes, and aborts as soon as more are read. */
  const abortUpload = async (bytes: number, error?: Error): Promise<void> => {
    const readStarted = Promise.withResolvers<void>();
    const content = new Readable({ read: () => readStarted.resolve() });
    if (bytes > 0) content.push(Buffer.alloc(bytes));
    const upload = media.uploadMedia(fixture.deps, fixture.users.ann.actor, {
      mediaId: id,
      filename: 'a',
      content,
    });
    void readStarted.promise.then(() => content.destroy(error));
    await upload;
  };
  await expect(abortUpload(100_000, new Error('The client aborted the upload'))).rejects.toThrow(
    'The client aborted the upload',
  );
  await expect(abortUpload(0)).rejects.toThrow();
  expect(await fixture.listFiles()).toHaveLength(1);
  expect((await readMedia(fixture.deps, fixture.users.ann.actor, id)).toString()).toBe('complete');
});

test('a full disk is UNAVAILABLE and leaves no partial file', async () => {
  await using folder = await openTestStorage();
  const content = Readable.from(
    (function* () {
      yield Buffer.alloc(10);
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    })(),
  );
  await expect(folder.storage.write(content, 1_000)).rejects.toThrow(errorWithCode('UNAVAILABLE'));
  expect(await readdir(folder.dir)).toEqual([]);
});

test('an upload whose recording fails leaves no file', async () => {
  await using fixture = await createMediaFixture();
  const result = await fixture.send('a');
  const id = firstMediaId(result);
  const storage: MediaStorage = {
    ...fixture.deps.mediaStorage,
    async write(content, maxBytes) {
      const stored = await fixture.deps.mediaStorage.write(content, maxBytes);
      await messages.deleteMessage(fixture.deps, fixture.users.ann.actor, {
        messageId: result.message.id,
      });
      return stored;
    },
  };
  const content = Readable.from([PNG]);
  const upload = media.uploadMedia({ ...fixture.deps, mediaStorage: storage }, fixture.users.ann.actor, {
    mediaId: id,
    filename: 'a',
    content,
  });
  await expect(upload).rejects.toThrow(errorWithCode('NOT_FOUND'));
  expect(await fixture.listFiles()).toEqual([]);
});

test('a failed upload whose file cannot be removed is left to the retention', async () => {
  await using fixture = await createMediaFixture();
  const id = firstMediaId(await fixture.send('a'));
  const storage: MediaStorage = {
    ...fixture.deps.mediaStorage,
    async write(content, maxBytes, onName) {
      const { name } = await fixture.deps.mediaStorage.write(content, maxBytes, onName);
      throw new Error(`The response for ${name} was lost`);
    },
    remove: () => Promise.reject(new Error('unreachable')),
  };
  const upload = media.uploadMedia({ ...fixture.deps, mediaStorage: storage }, fixture.users.ann.actor, {
    mediaId: id,
    filename: 'a',
    content: Readable.from([PNG]),
  });
  await expect(upload).rejects.toThrow('was lost');
  const unfinished = await fixture.deps.db.selectFrom('unfinishedUploads').select('storageName').execute();
  expect(unfinished.map(({ storageName }) => storageName)).toEqual(await fixture.listFiles());
});

test('an upload of an account that is blocked meanwhile leaves no file', async () => {
  await using fixture = await createMediaFixture();
  const { actor } = fixture.users.ann;
  const id = firstMediaId(await fixture.send('a'));
  const content = Readable.from(
    (async function* () {
      yield PNG;
      await blockAccount(fixture.deps, actor, { until: null, reason: 'spam' });
    })(),
  );
  const upload = media.uploadMedia(fixture.deps, actor, { mediaId: id, filename: 'a', content });
  await expect(upload).rejects.toThrow(errorWithCode('UNAUTHENTICATED'));
  expect(await fixture.listFiles()).toEqual([]);
});

test('uploads concurrent with the deletion of their message leave no file', async () => {
  await using fixture = await createMediaFixture();
  const { ann } = fixture.users;
  for (const round of indexes(6)) {
    const { message, media: pendingMedia } = await fixture.send('a', 'b', 'c');
    const uploads = pendingMedia.map(({ id }) => fixture.upload(id, PNG));
    await stagger(round * 3);
    const [results] = await Promise.all([
      readOutcomes(uploads),
      messages.deleteMessage(fixture.deps, ann.actor, { messageId: message.id }),
    ]);
    expect(results.every((result) => result === 'done' || result === 'NOT_FOUND')).toBe(true);
    expect(await fixture.listFiles()).toEqual([]);
    const types = (await readEvents(fixture.deps, fixture.topic)).map(({ type }) => type);
    expect(types.at(-1)).toBe('message.deleted');
  }
});

test('files are removed with their message, and remaining ones by the next sweep', async () => {
  await using fixture = await createMediaFixture();
  const { ann } = fixture.users;
  for (const part of ['a', 'b', 'c']) await fixture.upload(firstMediaId(await fixture.send(part)), part);
  expect(await fixture.listFiles()).toHaveLength(3);
  await circles.deleteCircle(fixture.deps, ann.actor, { circleId: fixture.circle.id });
  await sweep(fixture.deps);
  expect(await fixture.listFiles()).toEqual([]);
  expect(await fixture.deps.db.selectFrom('unusedFiles').selectAll().execute()).toEqual([]);
});

test('a request removes a hundred files at most, and the next sweep the rest', async () => {
  await using fixture = await createMediaFixture();
  const { deps } = fixture;
  await sql`insert into unused_files select gen_random_uuid() from generate_series(1, 250)`.execute(deps.db);
  const result = await fixture.send('a');
  await messages.deleteMessage(deps, fixture.users.ann.actor, { messageId: result.message.id });
  const count = async () => (await deps.db.selectFrom('unusedFiles').selectAll().execute()).length;
  expect(await count()).toBe(150);
  await sweep(deps);
  expect(await count()).toBe(0);
});

test('a removed file takes with it what a process that was killed had written of it', async () => {
  await using folder = await openTestStorage();
  const name = crypto.randomUUID();
  await writeFile(join(folder.dir, `${name}.part`), 'half');
  await folder.storage.remove([name]);
  expect(await readdir(folder.dir)).toEqual([]);
});

test('a file that cannot be removed now does not fail the deletion, and is removed later', async () => {
  await using fixture = await createMediaFixture();
  const result = await fixture.send('a');
  await fixture.upload(firstMediaId(result), 'x');
  const storage: MediaStorage = {
    ...fixture.deps.mediaStorage,
    remove: () => Promise.reject(new Error('read-only')),
  };
  await messages.deleteMessage({ ...fixture.deps, mediaStorage: storage }, fixture.users.ann.actor, {
    messageId: result.message.id,
  });
  expect(await fixture.listFiles()).toHaveLength(1);
  await sweep(fixture.deps);
  expect(await fixture.listFiles()).toEqual([]);
});

test('partial files of an earlier process are removed at startup, complete ones stay', async () => {
  await using folder = await openTestStorage();
  const { name } = await folder.storage.write(Readable.from([PNG]), 1_000);
  const partFile = `${crypto.randomUUID()}.part`;
  await writeFile(join(folder.dir, partFile), 'half');
  await createFolderStorage(folder.dir, true);
  expect((await readdir(folder.dir)).toSorted()).toEqual([name, partFile].toSorted());
  await utimes(join(folder.dir, partFile), 0, 0);
  await createFolderStorage(folder.dir, true);
  expect(await readdir(folder.dir)).toEqual([name]);
  await writeFile(join(folder.dir, partFile), 'half');
  await createFolderStorage(folder.dir);
  expect(await readdir(folder.dir)).toEqual([name]);
});

test('disposing a storage waits for the cleanup of aborted writes', async () => {
  await using folder = await openTestStorage();
  const writes = Array.from({ length: 50 }, () => {
    const content = new Readable({ read() {} });
    content.push('half');
    const write = folder.storage.write(content, 1_000);
    content.destroy(new Error('The client aborted the request'));
    return write;
  });
  const results = Promise.allSettled(writes);
  await folder.storage[Symbol.asyncDispose]();
  expect(await readdir(folder.dir)).toEqual([]);
  for (const result of await results)
    expect(result).toMatchObject({
      status: 'rejected',
      reason: { message: 'The client aborted the request' },
    });
});

test('a file is renamed to its name only when complete', async () => {
  await using folder = await openTestStorage();
  const content = new Readable({ read() {} });
  content.push('first ');
  const write = folder.storage.write(content, 1_000);
  await expect.poll(() => readdir(folder.dir)).toEqual([expect.stringMatching(/\.part$/)]);
  content.push('second');
  content.push(null);
  const { name, size } = await write;
  expect(await readdir(folder.dir)).toEqual([name]);
  expect(size).toBe(12);
  expect(await readFile(join(folder.dir, name), 'utf8')).toBe('first second');
});

test.each([
  ['an image', PNG, 'image/png'],
  ['a document', Buffer.from('%PDF-1.7\n'), 'application/pdf'],
  ['an empty file', Buffer.alloc(0), 'application/octet-stream'],
  ['unknown bytes', Buffer.from('hello\0'), 'application/octet-stream'],
  ['a text', Buffer.from('h\u00e9llo'), 'text/plain; charset=utf-8'],
  [
    'a text that is cut within a character',
    Buffer.from(`${'x'.repeat(4099)}\u00e9`),
    'text/plain; charset=utf-8',
  ],
  ['a text in UTF-16', Buffer.from('\ufeffhello', 'utf16le'), 'text/plain; charset=utf-16'],
  ['a text in Latin 1', Buffer.from('h\u00e9llo', 'latin1'), 'text/plain'],
  ['an HTML page', Buffer.from('<!doctype html><script>alert(1)</script>'), 'text/plain; charset=utf-8'],
  [
    'an XHTML page',
    Buffer.from('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>'),
    'text/plain; charset=utf-8',
  ],
  [
    'an SVG image',
    Buffer.from('<?xml version="1.0"?>\n<!-- a --><!-- b -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    'image/svg+xml',
  ],
  [
    'an SVG image with a document type',
    Buffer.from('<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" [ <!ENTITY a "b"> ]><svg/>'),
    'image/svg+xml',
  ],
  ['a page with an image', Buffer.from('<html><svg></svg></html>'), 'text/plain; charset=utf-8'],
  ['many comments', Buffer.from('<!---->'.repeat(500)), 'text/plain; charset=utf-8'],
])('%s is served with the type of its first bytes', async (_description, content, contentType) => {
  await using folder = await openTestStorage();
  // In chunks of one byte, as a slow client would send them.
  const chunks = [...content].map((byte) => Buffer.of(byte));
  expect(await folder.storage.write(Readable.from(chunks), 10_000)).toMatchObject({
    contentType,
    size: content.length,
  });
});

test.each([
  ['cat.png', 'cat', '.png'],
  ['/storage/emulated/0/DCIM/cat.final.JPG', 'cat.final', '.JPG'],
  ['C:\\fakepath\\cat.png', 'cat', '.png'],
  ['../../etc/passwd', 'passwd', ''],
  ['README', 'README', ''],
  ['.gitignore', '.gitignore', ''],
  ['archive.', 'archive.', ''],
  ['a.verylongextension', 'a.verylongextension', ''],
  ['a.123456789', 'a', '.123456789'],
  ['a.1234567890', 'a.1234567890', ''],
  ['', 'file', ''],
  ['..', 'file', ''],
  ['/', 'file', ''],
  ['a\0b\r\nc.png', 'abc', '.png'],
  ['gnp.\u202etac.exe', 'gnp.tac', '.exe'],
  ['\ud800.png', '\ufffd', '.png'],
  ['é😀.png', 'é😀', '.png'],
])('an upload named %j is called %j with the extension %j', (uploadName, filename, extension) => {
  expect(splitFilename(uploadName)).toEqual({ filename, extension });
});

test('any uploaded filename is shortened and stripped of its path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (uploadName) => {
      const { filename, extension } = splitFilename(uploadName);
      expect(Array.from(filename).length).toBeLessThanOrEqual(120);
      expect(filename.length).toBeGreaterThan(0);
      expect(extension).toMatch(/^$|^\..{1,9}$/u);
      expect(filename + extension).not.toMatch(/[/\\\p{Cc}]/u);
      expect((filename + extension).isWellFormed()).toBe(true);
    }),
  );
});
