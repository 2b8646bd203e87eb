import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { createResumableUploads } from '../../src/domain/resumable-uploads.ts';
import { conversationTopic } from '../../src/events/event.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import { SingleFlight } from '../../src/lib/single-flight.ts';
import { sweep } from '../../src/services/retention.ts';
import { createUploadLimits } from '../../src/services/upload-limits.ts';
import { afterCopy } from '../harness/after-copy.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createSession,
  createUsers,
  readEvents,
} from '../harness/domain-fixtures.ts';
import { createFakeTimers } from '../harness/fake-timers.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { indexes } from '../harness/numbers.ts';
import { encodeMetadata } from '../harness/tus.ts';

const CONTENT = Buffer.from('the content of a file');

/** Creates the domain with an upload of Ann that has started, a folder of its own, and a clock for the rate of uploads. */
async function createFixture() {
  await using stack = new AsyncDisposableStack();
  const plainDeps = stack.use(await createTestDeps());
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  stack.defer(() => rm(dir, { recursive: true }));
  const timers = createFakeTimers();
  const { db, log } = plainDeps;
  const deps: Deps = {
    ...plainDeps,
    mediaStorage: stack.use(await createFolderStorage(dir)),
    uploadLimits: createUploadLimits({ db, log, quotaBytes: 1_000_000, startTimer: timers.startTimer }),
  };
  const [ann, bob, carl] = await createUsers(deps, 'ann', 'bob', 'carl');
  const circle = await createCircle(deps, ann, bob, carl);
  // Of three, as a conversation of two ends with an account.
  const { id: conversationId } = await createConversation(deps, circle, ann, bob, carl);
  const { message, media } = await messages.sendMessage(deps, ann.actor, { conversationId, files: ['file'] });
  const uploads = createResumableUploads(deps);
  const start = () =>
    uploads.start(ann.actor, {
      metadata: encodeMetadata({ mediaId: String(media[0]?.id), filename: 'a.txt' }),
      size: CONTENT.length,
    });
  const { storageName: id } = await start();
  const owned = stack.move();
  return {
    deps,
    timers,
    actor: ann.actor,
    message,
    uploads,
    start,
    id,
    append: (offset: number, content: Readable) => uploads.append(ann.actor, id, { offset, content }),
    listFiles: () => readdir(dir),
    size: async () => (await stat(join(dir, id))).size,
    listRows: () => deps.db.selectFrom('resumableUploads').select(['storageName', 'received']).execute(),
    readUploadEvents: async () =>
      (await readEvents(deps, conversationTopic(conversationId))).filter(
        ({ type }) => type === 'media.uploaded',
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

type Fixture = Awaited<ReturnType<typeof createFixture>>;

const bytes = (...chunks: Uint8Array[]): Readable => Readable.from(chunks);

/** Stores the whole file as a node does that crashes before it publishes it. */
async function receiveWithoutPublishing({ deps, id }: Fixture): Promise<void> {
  await deps.mediaStorage.partialFiles?.append(id, {
    offset: 0,
    content: bytes(CONTENT),
    size: CONTENT.length,
    onDurable: async (received) => {
      await sql`update resumable_uploads set received = ${received} where storage_name = ${id}`.execute(
        deps.db,
      );
    },
  });
}

test('of several nodes that finish an upload concurrently, one publishes the file', async () => {
  await using fixture = await createFixture();
  const { actor, id } = fixture;
  await receiveWithoutPublishing(fixture);
  const { promise: allHaveCopied, resolve } = Promise.withResolvers<void>();
  let copies = 0;
  const deps = afterCopy(fixture.deps, () => {
    copies += 1;
    if (copies === 3) resolve();
    return allHaveCopied;
  });
  const nodes = indexes(3).map(() => createResumableUploads({ ...deps, publications: new SingleFlight() }));
  for (const upload of await Promise.all(nodes.map((node) => node.find(actor, id))))
    expect(upload).toMatchObject({ isFinished: true, received: CONTENT.length });
  expect(await fixture.readUploadEvents()).toHaveLength(1);
  expect(await fixture.listFiles()).toHaveLength(1);
  expect(await deps.db.selectFrom('unfinishedUploads').selectAll().execute()).toEqual([]);
});

test('an upload that is removed while it is finished is not published', async () => {
  await using fixture = await createFixture();
  const { actor, id, uploads } = fixture;
  await receiveWithoutPublishing(fixture);
  const deps = afterCopy(fixture.deps, () => uploads.remove(actor, id));
  await expect(createResumableUploads(deps).find(actor, id)).rejects.toThrow(errorWithCode('CONFLICT'));
  expect([await fixture.readUploadEvents(), await fixture.listFiles()]).toEqual([[], []]);
});

test.for<[string, (fixture: Fixture) => Promise<unknown>]>([
  ['its removal', ({ uploads, actor, id }) => uploads.remove(actor, id)],
  [
    'the deletion of its message',
    ({ deps, actor, message }) => messages.deleteMessage(deps, actor, { messageId: message.id }),
  ],
  [
    'the deletion of its account',
    ({ deps, actor }) => accounts.deleteAccount(deps, createSession(actor), { password: '' }),
  ],
  [
    'its expiry',
    async ({ deps, actor, id, uploads }) => {
      await sweep(deps);
      expect(await uploads.find(actor, id)).toMatchObject({ received: 10 });
      await sql`update resumable_uploads set expires_at = clock_timestamp() - interval '1 second'`.execute(
        deps.db,
      );
      await expect(uploads.find(actor, id)).rejects.toThrow(errorWithCode('NOT_FOUND'));
      await sweep(deps);
    },
  ],
])('what arrived of an upload is removed with %s', async ([, end]) => {
  await using fixture = await createFixture();
  const { deps, append } = fixture;
  await append(0, bytes(CONTENT.subarray(0, 10)));
  expect(await fixture.listFiles()).toEqual([fixture.id]);
  await end(fixture);
  expect([await fixture.listRows(), await fixture.listFiles()]).toEqual([[], []]);
  expect(await deps.db.selectFrom('unfinishedUploads').selectAll().execute()).toEqual([]);
  await expect(append(10, bytes(CONTENT.subarray(10)))).rejects.toThrow(errorWithCode('NOT_FOUND'));
});

test('what arrived of an upload is removed with the start of another for its file', async () => {
  await using fixture = await createFixture();
  await fixture.append(0, bytes(CONTENT.subarray(0, 10)));
  const { storageName } = await fixture.start();
  expect(await fixture.listFiles()).toEqual([storageName]);
  expect(await fixture.listRows()).toEqual([{ storageName, received: 0 }]);
});

test('an upload has a day, and the time of its bytes at the least rate; its file stays as long', async () => {
  await using fixture = await createFixture();
  const { deps, actor, uploads, message, listFiles } = fixture;
  const [file] = await deps.db.selectFrom('media').select('id').where('messageId', '=', message.id).execute();
  const metadata = encodeMetadata({ mediaId: String(file?.id), filename: 'a.txt' });
  const start = async (size: number) => {
    const { expiresAt } = await uploads.start(actor, { metadata, size });
    return Math.round((Date.parse(expiresAt) - Date.now()) / 3_600_000);
  };
  expect([await start(1), await start(1_000_000)]).toEqual([24, 24]);
  const large: Deps = { ...deps, config: { ...deps.config, MAX_UPLOAD_BYTES: 1e10 } };
  const unlimited = createUploadLimits({ db: deps.db, log: deps.log, quotaBytes: 1e11 });
  const { expiresAt, storageName } = await createResumableUploads({
    ...large,
    uploadLimits: unlimited,
  }).start(actor, { metadata, size: 1e10 });
  expect(Math.round((Date.parse(expiresAt) - Date.now()) / 86_400_000)).toBe(59);
  await sql`update unfinished_uploads set started_at = started_at - interval '50 days'`.execute(deps.db);
  // With the default limit, as after it was lowered.
  await sweep(deps);
  expect(await listFiles()).toEqual([storageName]);
});

test('a piece that is too slow ends, and what it sent counts', async () => {
  await using fixture = await createFixture();
  const content = new PassThrough();
  content.write(CONTENT.subarray(0, 10));
  const appended = fixture.append(0, content);
  await expect.poll(fixture.size).toBe(10);
  fixture.timers.advance(30_000);
  await expect(appended).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED'));
  expect(content.destroyed).toBe(true);
  expect(await fixture.listRows()).toEqual([{ storageName: fixture.id, received: 10 }]);
});
