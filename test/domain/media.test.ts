import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as conversations from '../../src/domain/conversations.ts';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { splitFilename } from '../../src/domain/media.ts';
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
  createUser,
} from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { stagger } from '../harness/waiting.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const UNNAMED = 'upload.bin';

const code = (value: string, details: object = {}) =>
  expect.objectContaining({ code: value, details: expect.objectContaining(details) as object });

/** A folder that the test can look into. */
async function testStorage() {
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  return {
    dir,
    storage: await createFolderStorage(dir),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

/** The domain over such a folder. */
async function testMedia() {
  const [deps, folder] = [await createTestDeps(), await testStorage()];
  const { dir, storage } = folder;
  const [ann, bob, eve] = [
    await createUser(deps, 'ann'),
    await createUser(deps, 'bob'),
    await createUser(deps, 'eve'),
  ];
  const circle = await createCircle(deps, ann, bob, eve);
  const conversation = await createConversation(deps, circle, ann, bob);
  const conversationId = conversation.id;
  const own: Deps = { ...deps, mediaStorage: storage };
  return {
    deps: own,
    dir,
    files: () => readdir(dir),
    people: { ann, bob, eve },
    circle,
    conversationId,
    topic: conversationTopic(conversationId),
    send: (...files: string[]) => messages.sendMessage(own, ann.actor, { conversationId, files }),
    upload: (mediaId: MediaId, content: Uint8Array | string, filename = UNNAMED, actor = ann.actor) =>
      media.uploadMedia(own, actor, { mediaId, filename, content: Readable.from([Buffer.from(content)]) }),
    async [Symbol.asyncDispose]() {
      await deps[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const firstId = ({ media: [first] }: messages.SentMessage): MediaId => {
  if (first === undefined) throw new Error('The message has no media');
  return first.id;
};

async function read(deps: Deps, actor: Parameters<typeof media.openMedia>[1], id: MediaId): Promise<Buffer> {
  return buffer(await (await media.openMedia(deps, actor, id)).read());
}

test('an uploaded file is stored, published, and served with its detected type', async () => {
  await using t = await testMedia();
  const sent = await t.send('cat');
  const id = firstId(sent);
  const uploaded = await t.upload(id, PNG, 'C:\\Users\\ann\\my cat.PNG');
  expect(uploaded).toEqual({
    id,
    messageId: sent.message.id,
    identifier: 'cat',
    filename: 'my cat',
    extension: '.PNG',
    contentType: 'image/png',
    size: PNG.length,
    uploadedAt: expect.any(String) as string,
  });
  expect((await readEvents(t.deps, t.topic)).at(-1)).toEqual({
    type: 'media.uploaded',
    uploaded,
    message: { ...sent.message, status: 'DONE', updatedAt: expect.any(String) as string },
    author: sent.author,
    media: [uploaded],
  });
  const opened = await media.openMedia(t.deps, t.people.bob.actor, id);
  expect(opened).toMatchObject({ media: uploaded, size: PNG.length, contentType: 'image/png' });
  expect(await buffer(await opened.read())).toEqual(PNG);
  expect(await buffer(await opened.read({ start: 1, end: 3 }))).toEqual(Buffer.from('PNG'));
  expect(await media.requireMedia(t.deps, t.people.bob.actor, id)).toEqual(uploaded);
});

test('the last file completes its message, and each upload publishes an event', async () => {
  await using t = await testMedia();
  const { media: announced, message } = await t.send('a', 'b', 'c');
  for (const { id } of announced.toReversed()) await t.upload(id, 'x');
  const told = (await readEvents(t.deps, t.topic)).flatMap((event) =>
    event.type === 'media.uploaded' ? [event] : [],
  );
  expect(told.map((event) => event.uploaded.id)).toEqual(announced.map(({ id }) => id).toReversed());
  expect(told.map((event) => event.message.status)).toEqual(['PENDING', 'PENDING', 'DONE']);
  expect(told.map((event) => event.media.filter((one) => one.uploadedAt !== null).length)).toEqual([1, 2, 3]);
  expect(told[2]?.media.map(({ identifier }) => identifier)).toEqual(['a', 'b', 'c']);
  expect(await messages.requireMessage(t.deps, t.people.bob.actor, message.id)).toMatchObject({
    status: 'DONE',
  });
});

test('concurrent uploads complete the message once', async () => {
  await using t = await testMedia();
  const { media: announced } = await t.send(...indexes(8).map(String));
  await Promise.all(announced.map(({ id, identifier }) => t.upload(id, identifier)));
  const statuses = (await readEvents(t.deps, t.topic)).flatMap((event) =>
    event.type === 'media.uploaded' ? [event.message.status] : [],
  );
  expect(statuses).toEqual([...indexes(7).map(() => 'PENDING'), 'DONE']);
  for (const { id, identifier } of announced) {
    expect((await read(t.deps, t.people.bob.actor, id)).toString()).toBe(identifier);
  }
});

test('a second upload replaces the first, whose file is removed', async () => {
  await using t = await testMedia();
  const id = firstId(await t.send('a'));
  await t.upload(id, 'first', 'first.txt');
  await t.upload(id, 'second', 'second.md');
  expect((await read(t.deps, t.people.ann.actor, id)).toString()).toBe('second');
  expect(await t.files()).toHaveLength(1);
  await Promise.all(indexes(6).map((number) => t.upload(id, `again ${number}`)));
  expect(await t.files()).toHaveLength(1);
  expect((await read(t.deps, t.people.ann.actor, id)).toString()).toMatch(/^again \d$/);
});

test('only the author can upload, and only while taking part', async () => {
  await using t = await testMedia();
  const { ann, bob, eve } = t.people;
  const id = firstId(await t.send('a'));
  await expect(t.upload(id, 'x', UNNAMED, bob.actor)).rejects.toThrow(code('FORBIDDEN'));
  await expect(t.upload(id, 'x', UNNAMED, eve.actor)).rejects.toThrow(code('NOT_FOUND'));
  await expect(t.upload(999 as MediaId, 'x')).rejects.toThrow(code('NOT_FOUND'));
  const { conversationId } = t;
  await conversations.inviteToConversation(t.deps, ann.actor, { conversationId, email: eve.email });
  await conversations.leaveConversation(t.deps, ann.actor, { conversationId });
  await expect(t.upload(id, 'x')).rejects.toThrow(code('FORBIDDEN'));
  expect(await t.files()).toEqual([]);
});

test('a file is readable by the conversation only, and only once uploaded', async () => {
  await using t = await testMedia();
  const { ann, bob, eve } = t.people;
  const id = firstId(await t.send('a'));
  await expect(media.openMedia(t.deps, bob.actor, id)).rejects.toThrow(code('NOT_FOUND'));
  expect(await media.requireMedia(t.deps, bob.actor, id)).toMatchObject({ uploadedAt: null });
  await t.upload(id, 'x');
  await expect(media.openMedia(t.deps, eve.actor, id)).rejects.toThrow(code('NOT_FOUND'));
  await expect(media.requireMedia(t.deps, eve.actor, id)).rejects.toThrow(code('NOT_FOUND'));
  const device = await createDevice(t.deps, t.circle, ann);
  await expect(media.openMedia(t.deps, device, id)).rejects.toThrow(code('NOT_FOUND'));
  await conversations.setDeviceAccess(t.deps, ann.actor, { conversationId: t.conversationId, allowed: true });
  expect((await read(t.deps, device, id)).toString()).toBe('x');
});

test('a device can upload to its own message', async () => {
  await using t = await testMedia();
  const { ann } = t.people;
  const { conversationId } = t;
  const device = await createDevice(t.deps, t.circle, ann);
  await conversations.setDeviceAccess(t.deps, ann.actor, { conversationId, allowed: true });
  const sent = await messages.sendMessage(t.deps, device, { conversationId, files: ['a'] });
  const content = Readable.from([PNG]);
  const uploaded = await media.uploadMedia(t.deps, device, {
    mediaId: firstId(sent),
    filename: 'a.png',
    content,
  });
  expect(uploaded).toMatchObject({ contentType: 'image/png' });
  await expect(t.upload(firstId(sent), 'x')).rejects.toThrow(code('FORBIDDEN'));
});

test('a file that is too large is refused and leaves nothing behind', async () => {
  await using t = await testMedia();
  const deps = { ...t.deps, config: { ...t.deps.config, MAX_UPLOAD_BYTES: 1_000 } };
  const id = firstId(await t.send('a'));
  const upload = (content: Readable) =>
    media.uploadMedia(deps, t.people.ann.actor, { mediaId: id, filename: 'a', content });
  let produced = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        produced += 100;
        yield Buffer.alloc(100);
      }
    })(),
  );
  await expect(upload(endless)).rejects.toThrow(code('LIMIT_EXCEEDED', { limit: 'MAX_UPLOAD_BYTES' }));
  expect(endless.destroyed).toBe(true);
  expect(produced).toBeLessThan(100_000);
  expect(await t.files()).toEqual([]);
  await upload(Readable.from([Buffer.alloc(1_000)]));
  expect(await media.requireMedia(t.deps, t.people.ann.actor, id)).toMatchObject({ size: 1_000 });
});

test('an aborted upload leaves nothing behind, and the earlier file in place', async () => {
  await using t = await testMedia();
  const id = firstId(await t.send('a'));
  await t.upload(id, 'whole');
  /** An upload that breaks off once it is read beyond what it has. */
  const breakOff = async (bytes: number, error?: Error): Promise<void> => {
    const isRead = Promise.withResolvers<void>();
    const content = new Readable({ read: () => isRead.resolve() });
    if (bytes > 0) content.push(Buffer.alloc(bytes));
    const uploading = media.uploadMedia(t.deps, t.people.ann.actor, { mediaId: id, filename: 'a', content });
    void isRead.promise.then(() => content.destroy(error));
    await uploading;
  };
  await expect(breakOff(100_000, new Error('The upload broke off'))).rejects.toThrow('broke off');
  await expect(breakOff(0)).rejects.toThrow();
  expect(await t.files()).toHaveLength(1);
  expect((await read(t.deps, t.people.ann.actor, id)).toString()).toBe('whole');
});

test('a full disk is UNAVAILABLE and leaves nothing behind', async () => {
  await using folder = await testStorage();
  const content = Readable.from(
    (function* () {
      yield Buffer.alloc(10);
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    })(),
  );
  await expect(folder.storage.write(content, 1_000)).rejects.toThrow(code('UNAVAILABLE'));
  expect(await readdir(folder.dir)).toEqual([]);
});

test('an upload whose recording fails leaves no file', async () => {
  await using t = await testMedia();
  const { message, ...sent } = await t.send('a');
  const id = firstId({ message, ...sent });
  const storage: MediaStorage = {
    ...t.deps.mediaStorage,
    async write(content, maxBytes) {
      const stored = await t.deps.mediaStorage.write(content, maxBytes);
      await messages.deleteMessage(t.deps, t.people.ann.actor, { messageId: message.id });
      return stored;
    },
  };
  const content = Readable.from([PNG]);
  const upload = media.uploadMedia({ ...t.deps, mediaStorage: storage }, t.people.ann.actor, {
    mediaId: id,
    filename: 'a',
    content,
  });
  await expect(upload).rejects.toThrow(code('NOT_FOUND'));
  expect(await t.files()).toEqual([]);
});

test('uploads concurrent with the deletion of their message leave no file', async () => {
  await using t = await testMedia();
  const { ann } = t.people;
  for (const round of indexes(6)) {
    const { message, media: announced } = await t.send('a', 'b', 'c');
    const uploads = announced.map(({ id }) => t.upload(id, PNG));
    await stagger(round * 3);
    const [results] = await Promise.all([
      readOutcomes(uploads),
      messages.deleteMessage(t.deps, ann.actor, { messageId: message.id }),
    ]);
    expect(results.every((result) => result === 'done' || result === 'NOT_FOUND')).toBe(true);
    expect(await t.files()).toEqual([]);
    const types = (await readEvents(t.deps, t.topic)).map(({ type }) => type);
    expect(types.at(-1)).toBe('message.deleted');
  }
});

test('files are removed with their message, and remaining ones by the next sweep', async () => {
  await using t = await testMedia();
  const { ann } = t.people;
  for (const part of ['a', 'b', 'c']) await t.upload(firstId(await t.send(part)), part);
  expect(await t.files()).toHaveLength(3);
  await circles.deleteCircle(t.deps, ann.actor, { circleId: t.circle.id });
  await sweep(t.deps);
  expect(await t.files()).toEqual([]);
  expect(await t.deps.db.selectFrom('unusedFiles').selectAll().execute()).toEqual([]);
});

test('a file that cannot be removed now does not fail the deletion, and is removed later', async () => {
  await using t = await testMedia();
  const { message, ...sent } = await t.send('a');
  await t.upload(firstId({ message, ...sent }), 'x');
  const storage: MediaStorage = {
    ...t.deps.mediaStorage,
    remove: () => Promise.reject(new Error('read-only')),
  };
  await messages.deleteMessage({ ...t.deps, mediaStorage: storage }, t.people.ann.actor, {
    messageId: message.id,
  });
  expect(await t.files()).toHaveLength(1);
  await sweep(t.deps);
  expect(await t.files()).toEqual([]);
});

test('partial files of an earlier process are removed at startup, complete ones stay', async () => {
  await using folder = await testStorage();
  const { name } = await folder.storage.write(Readable.from([PNG]), 1_000);
  const unfinished = `${crypto.randomUUID()}.part`;
  await writeFile(join(folder.dir, unfinished), 'half');
  await createFolderStorage(folder.dir, true);
  expect((await readdir(folder.dir)).toSorted()).toEqual([name, unfinished].toSorted());
  await utimes(join(folder.dir, unfinished), 0, 0);
  await createFolderStorage(folder.dir, true);
  expect(await readdir(folder.dir)).toEqual([name]);
  await writeFile(join(folder.dir, unfinished), 'half');
  await createFolderStorage(folder.dir);
  expect(await readdir(folder.dir)).toEqual([name]);
});

test('disposing a storage waits for the cleanup of aborted writes', async () => {
  await using folder = await testStorage();
  const broken = Array.from({ length: 50 }, () => {
    const content = new Readable({ read() {} });
    content.push('half');
    const written = folder.storage.write(content, 1_000);
    content.destroy(new Error('the request broke off'));
    return written;
  });
  const outcomes = Promise.allSettled(broken);
  await folder.storage[Symbol.asyncDispose]();
  expect(await readdir(folder.dir)).toEqual([]);
  for (const outcome of await outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'the request broke off' } });
});

test('a file is renamed to its name only when complete', async () => {
  await using folder = await testStorage();
  const content = new Readable({ read() {} });
  content.push('first ');
  const writing = folder.storage.write(content, 1_000);
  await expect.poll(() => readdir(folder.dir)).toEqual([expect.stringMatching(/\.part$/)]);
  content.push('second');
  content.push(null);
  const { name, size } = await writing;
  expect(await readdir(folder.dir)).toEqual([name]);
  expect(size).toBe(12);
  expect(await readFile(join(folder.dir, name), 'utf8')).toBe('first second');
});

test('a name that the storage did not choose is rejected', async () => {
  await using folder = await testStorage();
  for (const name of ['../../etc/passwd', '/etc/passwd', '', '.', `${crypto.randomUUID()}.part`]) {
    await expect(folder.storage.read(name)).rejects.toThrow('Invalid name');
    await expect(folder.storage.remove([name])).rejects.toThrow('Invalid name');
  }
  await expect(folder.storage.read(crypto.randomUUID())).rejects.toThrow(code('NOT_FOUND'));
  await folder.storage.remove([crypto.randomUUID()]);
});

test('a range of a file can be read, and a destroyed stream closes the file', async () => {
  await using folder = await testStorage();
  const { name } = await folder.storage.write(Readable.from(['0123456789']), 1_000);
  expect(await text(await folder.storage.read(name, { start: 2, end: 4 }))).toBe('234');
  expect(await text(await folder.storage.read(name, { start: 9, end: 9 }))).toBe('9');
  const given = await folder.storage.read(name);
  given.destroy();
  expect(await text(await folder.storage.read(name))).toBe('0123456789');
});

test.each([
  ['an image', PNG, 'image/png'],
  ['a document', Buffer.from('%PDF-1.7\n'), 'application/pdf'],
  ['nothing', Buffer.alloc(0), 'application/octet-stream'],
  ['text', Buffer.from('hello'), 'application/octet-stream'],
  ['a page', Buffer.from('<!doctype html><script>alert(1)</script>'), 'application/octet-stream'],
  [
    'a page in disguise',
    Buffer.from('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>'),
    'application/octet-stream',
  ],
  [
    'an image that can run scripts',
    Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    'application/octet-stream',
  ],
])('%s is served with the type of its first bytes', async (_what, content, contentType) => {
  await using folder = await testStorage();
  // In pieces of one byte, as a slow sender would.
  const pieces = [...content].map((byte) => Buffer.of(byte));
  expect(await folder.storage.write(Readable.from(pieces), 1_000)).toMatchObject({
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
])('an upload named %j is called %j with the extension %j', (uploaded, filename, extension) => {
  expect(splitFilename(uploaded)).toEqual({ filename, extension });
});

test('any uploaded filename is shortened and stripped of its path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (uploaded) => {
      const { filename, extension } = splitFilename(uploaded);
      expect(Array.from(filename).length).toBeLessThanOrEqual(120);
      expect(filename.length).toBeGreaterThan(0);
      expect(extension).toMatch(/^$|^\..{1,9}$/u);
      expect(filename + extension).not.toMatch(/[/\\\p{Cc}]/u);
      expect((filename + extension).isWellFormed()).toBe(true);
    }),
  );
});
