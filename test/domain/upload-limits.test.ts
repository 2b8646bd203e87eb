import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Deps } from '../../src/domain/deps.ts';
import * as media from '../../src/domain/media.ts';
import * as messages from '../../src/domain/messages.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { MediaId } from '../../src/ids.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import type { MediaStorage } from '../../src/services/media-storage.ts';
import { sweep } from '../../src/services/retention.ts';
import { createUploadLimits } from '../../src/services/upload-limits.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUsers, readEvents } from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { createFakeTimers } from '../harness/fake-timers.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { indexes } from '../harness/numbers.ts';

const QUOTA = 10_000;

/** Creates the domain with a small quota, a clock for the rate of uploads, and a conversation of Ann and Bob. */
async function createFixture() {
  const plainDeps = await createTestDeps();
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  const timers = createFakeTimers();
  const { db, log } = plainDeps;
  const deps: Deps = {
    ...plainDeps,
    mediaStorage: await createFolderStorage(dir),
    uploadLimits: createUploadLimits({ db, log, quotaBytes: QUOTA, startTimer: timers.startTimer }),
  };
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: conversationId } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  return {
    deps,
    dir,
    timers,
    ann,
    bob,
    topic: conversationTopic(conversationId),
    send: ({ actor }: TestUser, text: string, ...files: string[]) =>
      messages.sendMessage(deps, actor, { conversationId, text, files }),
    upload: ({ actor }: TestUser, mediaId: MediaId | undefined, content: Readable) =>
      media.uploadMedia(deps, actor, { mediaId: mediaId ?? (0 as MediaId), filename: 'file', content }),
    async [Symbol.asyncDispose]() {
      await plainDeps[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

const bytes = (count: number): Readable => Readable.from([Buffer.alloc(count)]);

/** Reads a byte of the content, and the others once the returned function is called. */
function openContent(count: number): { readonly content: PassThrough; readonly finish: () => void } {
  const content = new PassThrough();
  content.write(Buffer.alloc(1));
  return { content, finish: () => void content.end(Buffer.alloc(count - 1)) };
}

const backdateMessages = (deps: Deps, days: number) =>
  sql`update messages set sent_at = sent_at - ${days} * interval '1 day'`.execute(deps.db);

test('an account may upload its daily quota, whatever it deletes and aborts, and others their own', async () => {
  await using fixture = await createFixture();
  const { ann, bob, deps, send, upload } = fixture;
  const { message, media: files } = await send(ann, '', 'a', 'b', 'c');
  await upload(ann, files[0]?.id, bytes(6_000));
  await upload(ann, files[0]?.id, bytes(3_000));
  await expect(upload(ann, files[1]?.id, bytes(2_000))).rejects.toThrow(errorWithCode('RATE_LIMITED'));
  await expect(upload(ann, files[1]?.id, bytes(1))).rejects.toThrow(
    expect.objectContaining({
      code: 'RATE_LIMITED',
      details: { retryAfterMs: expect.any(Number) as number },
    }) as Error,
  );
  await messages.deleteMessage(deps, ann.actor, { messageId: message.id });
  const { media: others } = await send(ann, '', 'a');
  await expect(upload(ann, others[0]?.id, bytes(1))).rejects.toThrow(errorWithCode('RATE_LIMITED'));
  await upload(bob, (await send(bob, '', 'a')).media[0]?.id, bytes(QUOTA));
  await sql`update upload_usage set day = day - 1`.execute(deps.db);
  await upload(ann, others[0]?.id, bytes(QUOTA));
  await sweep(deps);
  expect(await deps.db.selectFrom('uploadUsage').select('bytes').execute()).toEqual([{ bytes: QUOTA }]);
});

test('uploads that begin before others have ended share one quota with them', async () => {
  await using fixture = await createFixture();
  const { ann, dir, send, upload } = fixture;
  const { media: files } = await send(ann, '', 'a', 'b');
  const { content, finish } = openContent(6_000);
  const late = upload(ann, files[0]?.id, content);
  // It has read the usage once its content is stored.
  await expect.poll(() => readdir(dir)).toHaveLength(1);
  await upload(ann, files[1]?.id, bytes(6_000));
  finish();
  await expect(late).rejects.toThrow(errorWithCode('RATE_LIMITED'));
});

test('concurrent uploads share the quota, and leave no partial file above it', async () => {
  await using fixture = await createFixture();
  const { ann, dir, send, upload } = fixture;
  const { media: files } = await send(ann, '', ...indexes(8).map(String));
  const results = await Promise.allSettled(files.map(({ id }) => upload(ann, id, bytes(3_000))));
  const stored = results.filter(({ status }) => status === 'fulfilled');
  expect(stored.length).toBeLessThanOrEqual(3);
  expect(await readdir(dir)).toHaveLength(stored.length);
});

test('at most 32 uploads of an account are accepted concurrently', async () => {
  await using fixture = await createFixture();
  const { ann, bob, send, upload } = fixture;
  const [first, second] = [
    await send(ann, '', ...indexes(20).map(String)),
    await send(ann, '', ...indexes(13).map(String)),
  ];
  const contents = indexes(32).map(() => new PassThrough());
  const files = [...first.media, ...second.media];
  const uploads = contents.map((content, index) => upload(ann, files[index]?.id, content));
  const settled = Promise.all(uploads);
  await expect
    .poll(() => fixture.deps.db.selectFrom('unfinishedUploads').selectAll().execute())
    .toHaveLength(32);
  await expect(upload(ann, files[32]?.id, bytes(1))).rejects.toThrow(
    errorWithCode('RATE_LIMITED', { retryAfterMs: 1_000 }),
  );
  await upload(bob, (await send(bob, '', 'a')).media[0]?.id, bytes(1));
  for (const content of contents) content.end('x');
  await settled;
  await upload(ann, files[32]?.id, bytes(1));
});

test('an upload that stalls, or is too slow, ends and leaves no file', async () => {
  await using fixture = await createFixture();
  const { ann, deps, dir, send, timers, upload } = fixture;
  const { media: files } = await send(ann, '', 'a');
  const content = new PassThrough();
  content.write('first bytes');
  const result = upload(ann, files[0]?.id, content);
  await expect.poll(() => readdir(dir)).toHaveLength(1);
  timers.advance(30_000);
  await expect(result).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED'));
  expect(content.destroyed).toBe(true);
  expect(await readdir(dir)).toEqual([]);
  expect(await deps.db.selectFrom('unfinishedUploads').selectAll().execute()).toEqual([]);
});

test('declared files that are not uploaded in three days are removed, and their message completed', async () => {
  await using fixture = await createFixture();
  const { ann, deps, send, topic, upload } = fixture;
  const [kept] = (await send(ann, '', 'kept', 'missing')).media;
  await upload(ann, kept?.id, bytes(1));
  const text = await send(ann, 'text', 'missing');
  const empty = await send(ann, '', 'missing');
  await backdateMessages(deps, 2);
  await sweep(deps);
  const countBefore = (await readEvents(deps, topic)).length;
  await backdateMessages(deps, 2);
  const recent = await send(ann, '', 'recent');
  await sweep(deps);
  const events = (await readEvents(deps, topic)).slice(countBefore + 1);
  expect(events).toMatchObject([
    { type: 'message.updated', message: { status: 'DONE', mediaCount: 1 }, media: [{ identifier: 'kept' }] },
    { type: 'message.updated', message: { id: text.message.id, status: 'DONE', mediaCount: 0 }, media: [] },
    { type: 'message.deleted', messageId: empty.message.id },
  ]);
  await expect(upload(ann, text.media[0]?.id, bytes(1))).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await upload(ann, recent.media[0]?.id, bytes(1));
});

test('where files may be so large that their upload takes longer, declared ones have that time', async () => {
  await using fixture = await createFixture();
  const { ann, deps, send, upload } = fixture;
  const { media: files } = await send(ann, '', 'film');
  await backdateMessages(deps, 30);
  await sweep({ ...deps, config: { ...deps.config, MAX_UPLOAD_BYTES: 10_000_000_000 } });
  await upload(ann, files[0]?.id, bytes(1));
});

test('an upload whose record the retention has removed is not published', async () => {
  await using fixture = await createFixture();
  const { ann, deps, dir, send } = fixture;
  const { media: files } = await send(ann, '', 'a');
  const mediaStorage: MediaStorage = {
    ...deps.mediaStorage,
    async write(...args) {
      const stored = await deps.mediaStorage.write(...args);
      await sql`update unfinished_uploads set started_at = started_at - interval '3 days'`.execute(deps.db);
      await sweep(deps);
      return stored;
    },
  };
  const upload = { mediaId: files[0]?.id ?? (0 as MediaId), filename: 'file', content: bytes(1) };
  await expect(media.uploadMedia({ ...deps, mediaStorage }, ann.actor, upload)).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  expect(await readdir(dir)).toEqual([]);
});

test('a file that a crash left behind is removed after days, and no file that the database does not know', async () => {
  await using fixture = await createFixture();
  const { ann, deps, dir, send, upload } = fixture;
  await upload(ann, (await send(ann, '', 'a')).media[0]?.id, bytes(1));
  const [used] = await readdir(dir);
  const unknown = await deps.mediaStorage.write(bytes(1), 10);
  // As if the node had ended after the file was stored, before the media referred to it.
  const orphan = await deps.mediaStorage.write(bytes(1), 10, async (storageName) => {
    await deps.db.insertInto('unfinishedUploads').values({ storageName }).execute();
  });
  await sweep(deps);
  expect(await readdir(dir)).toHaveLength(3);
  await sql`update unfinished_uploads set started_at = started_at - interval '3 days'`.execute(deps.db);
  await sweep(deps);
  expect((await readdir(dir)).toSorted()).toEqual([`${used}`, unknown.name].toSorted());
  expect(orphan.name).not.toBe(unknown.name);
});
