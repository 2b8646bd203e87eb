import { Readable } from 'node:stream';
import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { claimFile, findDetails, saveDetails } from '../../src/db/media-details.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { uploadMedia } from '../../src/domain/media.ts';
import type { MediaId } from '../../src/ids.ts';
import type { Inspection } from '../../src/services/inspection/inspector.ts';
import { MediaInspections } from '../../src/services/media-inspections.ts';
import type { MediaStorage } from '../../src/services/media-storage.ts';
import { sweep } from '../../src/services/retention.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUsers } from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { lockRows } from '../harness/lock-rows.ts';
import { createMp3, createWav } from '../harness/media-files.ts';
import { PNG } from '../harness/media.ts';

const NOTHING = { width: null, height: null, duration: null, preview: null };

const claim = ({ db }: Deps, afterAccount = '') => claimFile(db, { claimMs: 60_000, afterAccount });

async function createFixture(contents: readonly Buffer[]) {
  const deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: conversationId } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const upload = ({ actor }: TestUser, mediaId: MediaId, content: Buffer) =>
    uploadMedia(deps, actor, { mediaId, filename: 'file', content: Readable.from([content]) });
  const send = async (author: TestUser, files: readonly Buffer[]) => {
    const { message, media } = await messages.sendMessage(deps, author.actor, {
      conversationId,
      files: files.map((_content, index) => String(index)),
    });
    const ids = media.map(({ id }) => id);
    for (const [index, id] of ids.entries()) await upload(author, id, files[index] ?? Buffer.alloc(0));
    return { messageId: message.id, ids };
  };
  return {
    deps,
    ann,
    bob,
    upload,
    send,
    ...(await send(ann, contents)),
    [Symbol.asyncDispose]: () => deps[Symbol.asyncDispose](),
  };
}

test('each file is claimed by one node at a time, and again when the claim has expired', async () => {
  await using fixture = await createFixture([PNG, createMp3(9), Buffer.from('no image')]);
  const { deps, ids } = fixture;
  const claimed = await Promise.all([claim(deps), claim(deps)]);
  const last = await claim(deps);
  const files = [...claimed, last].filter((file) => file !== undefined);
  // Another may have been skipped because it was locked.
  expect(new Set(files.map(({ mediaId }) => mediaId)).size).toBe(files.length);
  expect(ids).toEqual(expect.arrayContaining(files.map(({ mediaId }) => mediaId)));
  expect(await claim(deps)).toBeUndefined();
  await sql`update media_details set claimed_until = clock_timestamp() - interval '1 second'`.execute(
    deps.db,
  );
  expect(await claim(deps)).toMatchObject({
    mediaId: ids[0],
    attempts: 2,
    contentType: 'image/png',
  });
});

test('the result of a file that was replaced or deleted meanwhile is dropped', async () => {
  await using fixture = await createFixture([PNG]);
  const { deps, ann, messageId, ids, upload } = fixture;
  const [id = 0 as MediaId] = ids;
  const first = await claim(deps);
  if (first === undefined) throw new Error('No file was claimed');
  await upload(ann, id, createMp3(9));
  await saveDetails(deps.db, first, { ...NOTHING, width: 1 });
  expect(await findDetails(deps.db, ids)).toEqual([]);
  const second = await claim(deps);
  expect(second).toMatchObject({ mediaId: id, attempts: 1, contentType: 'audio/mpeg' });
  await messages.deleteMessage(deps, ann.actor, { messageId });
  expect((await sql`select from media_details`.execute(deps.db)).rows).toEqual([]);
});

test('accounts with files that wait take turns', async () => {
  await using fixture = await createFixture(Array.from({ length: 5 }, () => createWav(1)));
  const { deps, bob, ids, send } = fixture;
  const [first, second] = [await claim(deps), await claim(deps)];
  expect([first?.mediaId, second?.mediaId]).toEqual(ids.slice(0, 2));
  const others = await send(bob, [createWav(1), createWav(1)]);
  const claimed: (MediaId | undefined)[] = [];
  for (let account = second?.account; claimed.length < 5;) {
    const file = await claim(deps, account);
    claimed.push(file?.mediaId);
    account = file?.account;
  }
  expect(claimed).toEqual([others.ids[0], ids[2], others.ids[1], ids[3], ids[4]]);
});

test('a node gives the next turn to the next account', async () => {
  await using fixture = await createFixture(Array.from({ length: 3 }, () => createWav(1)));
  const { deps, bob, send } = fixture;
  await send(bob, [createWav(2)]);
  const sizes: number[] = [];
  const read: MediaStorage['read'] = (name, range) => {
    sizes.push(Number(range?.end));
    return deps.mediaStorage.read(name, range);
  };
  await using inspections = new MediaInspections({ ...deps, mediaStorage: { read } });
  await inspections.settle();
  const small = createWav(1).length - 1;
  expect(sizes.map((size) => size === small)).toEqual([true, false, true, true]);
});

test('a file is inspected again after the storage was unavailable, and finally given up', async () => {
  await using fixture = await createFixture([PNG]);
  const { deps, ids } = fixture;
  const read = vi.fn<MediaStorage['read']>(() => Promise.reject(new Error('The storage is unavailable')));
  const untilRetry = () => sql`update media_details set claimed_until = null`.execute(deps.db);
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const inspections = new MediaInspections({ ...deps, mediaStorage: { read } });
    await expect.poll(() => read.mock.calls.length, { timeout: 15_000 }).toBe(attempt);
    await inspections.settle();
    expect(await findDetails(deps.db, ids)).toEqual([]);
    await untilRetry();
    await inspections[Symbol.asyncDispose]();
  }
  await using inspections = new MediaInspections({ ...deps, mediaStorage: { read } });
  await inspections.settle();
  expect(await findDetails(deps.db, ids)).toMatchObject([{ width: null }]);
});

test('a file whose inspection takes too long is inspected again, and finally keeps what was found', async () => {
  await using fixture = await createFixture([PNG]);
  const { deps, ids } = fixture;
  const outcomes: string[] = [];
  const inspect = async () => ({ found: { width: 7 }, failure: 'time' }) as const;
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    expect(await findDetails(deps.db, ids)).toEqual([]);
    await using inspections = new MediaInspections({
      ...deps,
      inspect,
      count: (outcome) => void outcomes.push(outcome),
    });
    await inspections.settle();
    await sql`update media_details set claimed_until = null`.execute(deps.db);
  }
  expect(outcomes).toEqual(['time', 'time', 'time', 'time', 'time']);
  expect(await findDetails(deps.db, ids)).toMatchObject([{ width: 7, height: null }]);
  expect(await claim(deps)).toBeUndefined();
});

test('a file whose inspection succeeds after one that took too long has its details', async () => {
  await using fixture = await createFixture([PNG]);
  const { deps, ids } = fixture;
  const results: Inspection[] = [{ found: {}, failure: 'time' }, { found: { width: 1, height: 1 } }];
  for (const result of results) {
    await using inspections = new MediaInspections({ ...deps, inspect: async () => result });
    await inspections.settle();
    await sql`update media_details set claimed_until = null`.execute(deps.db);
  }
  expect(await findDetails(deps.db, ids)).toMatchObject([{ width: 1, height: 1 }]);
});

test('a stopping server leaves the file to others', async () => {
  await using fixture = await createFixture([PNG]);
  const { deps, ids } = fixture;
  const reading = Promise.withResolvers<void>();
  const read = async () => {
    reading.resolve();
    return new Readable({ read() {} });
  };
  const stopping = new MediaInspections({ ...deps, mediaStorage: { read } });
  await reading.promise;
  await stopping[Symbol.asyncDispose]();
  expect(await claim(deps)).toMatchObject({ mediaId: ids[0], attempts: 1 });
});

test('a file whose storage is unavailable waits longer with each attempt', async () => {
  await using fixture = await createFixture([PNG]);
  const { db } = fixture.deps;
  const delays: (number | undefined)[] = [];
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await claim(fixture.deps);
    const { rows } = await sql<{ minutes: number }>`
      select round(extract(epoch from claimed_until - clock_timestamp()) / 60)::int as minutes from media_details
    `.execute(db);
    delays.push(rows[0]?.minutes);
    await sql`update media_details set claimed_until = null`.execute(db);
  }
  expect(delays).toEqual([1, 2, 4]);
});

describe.skipIf(inject('database') !== 'postgres')('while another program has locked details', () => {
  test('files are replaced, messages are sent and deleted, and the details are removed later', async () => {
    const { url = '' } = await openTestDatabase();
    await using fixture = await createFixture([PNG, PNG]);
    const { deps, ann, ids, messageId, send, upload } = fixture;
    const [id = 0 as MediaId] = ids;
    const count = async () =>
      (await sql<{ count: number }>`select count(*)::int as count from media_details`.execute(deps.db)).rows;
    await using lock = await lockRows(url, 'select from media_details for update');
    await upload(ann, id, createMp3(9));
    await send(ann, [PNG]);
    expect(await findDetails(deps.db, ids)).toEqual([]);
    expect([await claim(deps), await claim(deps), await claim(deps)]).toMatchObject([
      { mediaId: id, contentType: 'audio/mpeg' },
      { contentType: 'image/png' },
      undefined,
    ]);
    await messages.deleteMessage(deps, ann.actor, { messageId });
    // The files were removed without waiting for the lock.
    expect((await sql`select from unused_files`.execute(deps.db)).rows).toEqual([]);
    expect(await count()).toEqual([{ count: 3 }]);
    await sweep(deps);
    expect(await count()).toEqual([{ count: 3 }]);
    await lock.release();
    expect(await claim(deps)).toBeUndefined();
    await sweep(deps);
    expect(await count()).toEqual([{ count: 1 }]);
    expect((await sql`select from unused_details`.execute(deps.db)).rows).toEqual([]);
  });
});
