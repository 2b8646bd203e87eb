import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import * as accounts from '../../src/domain/account-deletion.ts';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as direct from '../../src/domain/direct-uploads.ts';
import * as messages from '../../src/domain/messages.ts';
import { SingleFlight } from '../../src/lib/single-flight.ts';
import { createS3Storage } from '../../src/services/media-storage-s3.ts';
import { sweep } from '../../src/services/retention.ts';
import { S3Client } from '../../src/services/s3-client.ts';
import { afterCopy } from '../harness/after-copy.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createSession,
  createUsers,
  readErrorCode,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { indexes } from '../harness/numbers.ts';
import { createRandom } from '../harness/random.ts';
import { startS3 } from '../harness/s3.ts';
import { stagger } from '../harness/waiting.ts';

const CONTENT = Buffer.from('the content of a file');
const SEEDS = (process.env['UPLOAD_SEEDS'] ?? '1,2,3').split(',').map(Number);

/** Creates the domain over a bucket, in which files of more than 10 bytes are copied in parts. */
async function createFixture() {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startS3());
  const plainDeps = stack.use(await createTestDeps());
  const spoolDir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  stack.defer(() => rm(spoolDir, { recursive: true }));
  const client = new S3Client({ ...server.settings, now: () => Date.now(), log: plainDeps.log });
  const mediaStorage = stack.use(await createS3Storage({ client, spoolDir, partBytes: 10 }));
  const deps: Deps = { ...plainDeps, mediaStorage };
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  const { db } = deps;
  const owned = stack.move();
  return {
    deps,
    client,
    ann,
    bob,
    circle,
    server,
    /** Starts an upload of a new message. */
    async start(author: TestUser, others: readonly TestUser[] = []) {
      const { id: conversationId } = await createConversation(deps, circle, author, ...others);
      const { message, media } = await messages.sendMessage(deps, author.actor, {
        conversationId,
        files: ['file'],
      });
      const [{ id: mediaId } = { id: 0 as never }] = media;
      const input = { mediaId, filename: 'a.txt', size: CONTENT.length };
      const started = await direct.startDirectUpload(deps, author.actor, input);
      if (started === null) throw new Error('The bucket takes no uploads');
      return { ...started, mediaId, messageId: message.id };
    },
    /** Lets the time of uploads pass, and removes what is abandoned: parts that arrive meanwhile by the next sweep. */
    async expire(url = '') {
      // The path of the URL ends with the name.
      const name = url.split('?')[0]?.slice(-36) ?? '';
      await sql`
        update unfinished_uploads set started_at = started_at - interval '3 days' where ${name} in ('', storage_name)
      `.execute(db);
      await sweep(deps);
      await sweep(deps);
    },
    /** Returns all that is stored, but what media refer to. */
    async listLeftovers() {
      const used = await db.selectFrom('media').select('storageName').execute();
      const objects = await server.listObjects();
      return {
        parts: await server.listPartUploads(),
        objects: objects.filter((name) => !used.some(({ storageName }) => storageName === name)),
        missing: used.filter(({ storageName }) => storageName !== null && !objects.includes(storageName)),
        uploads: await db.selectFrom('unfinishedUploads').selectAll().execute(),
        unused: await db.selectFrom('unusedFiles').selectAll().execute(),
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const NOTHING = { parts: [], objects: [], missing: [], uploads: [], unused: [] };

const put = async (url: string | undefined): Promise<number> =>
  (await fetch(url ?? '', { method: 'PUT', body: CONTENT })).status;

/** Another node of the same cluster. */
const nodeOf = (deps: Deps): Deps => ({ ...deps, publications: new SingleFlight() });

test('an upload that is resumed in parts while it is finished leaves none behind', async () => {
  await using fixture = await createFixture();
  const { deps, ann, start, expire, listLeftovers } = fixture;
  const { url, ticket } = await start(ann);
  await put(url);
  const resume = () => direct.resumeDirectUpload(deps, ann.actor, ticket);
  await expect(direct.finishDirectUpload(afterCopy(nodeOf(deps), resume), ann.actor, ticket)).rejects.toThrow(
    errorWithCode('INVALID_INPUT'),
  );
  const { parts } = await resume();
  expect(parts).toHaveLength(1);
  await put(parts[0]?.url);
  await direct.finishDirectUpload(deps, ann.actor, ticket);
  await expire();
  expect(await listLeftovers()).toEqual(NOTHING);
});

test('of several nodes that finish an upload concurrently, one publishes the file', async () => {
  await using fixture = await createFixture();
  const { deps, ann, start, expire, listLeftovers } = fixture;
  const { url, ticket, mediaId } = await start(ann);
  await put(url);
  const { promise: allHaveCopied, resolve } = Promise.withResolvers<void>();
  let copies = 0;
  const finish = () =>
    direct.finishDirectUpload(
      afterCopy(nodeOf(deps), () => {
        copies += 1;
        if (copies === 3) resolve();
        return allHaveCopied;
      }),
      ann.actor,
      ticket,
    );
  for (const media of await Promise.all(indexes(3).map(finish)))
    expect(media).toMatchObject({ id: mediaId, size: CONTENT.length });
  expect(await fixture.server.listObjects()).toHaveLength(1);
  await expire();
  expect(await listLeftovers()).toEqual(NOTHING);
});

test('a node copies a file once, however often its client repeats the request', async () => {
  await using fixture = await createFixture();
  const { deps, client, ann, start } = fixture;
  const { url, ticket, mediaId } = await start(ann);
  await put(url);
  const copies = vi.spyOn(client, 'copyPart');
  const finish = () => direct.finishDirectUpload(deps, ann.actor, ticket);
  for (const media of await Promise.all([finish(), finish(), finish()]))
    expect(media).toMatchObject({ id: mediaId });
  await finish();
  expect(copies).toHaveBeenCalledTimes(Math.ceil(CONTENT.length / 10));
});

test('a file that is sent again after its upload was finished is removed, and changes nothing', async () => {
  await using fixture = await createFixture();
  const { deps, ann, start, expire, listLeftovers } = fixture;
  const { url, ticket } = await start(ann);
  await put(url);
  const media = await direct.finishDirectUpload(deps, ann.actor, ticket);
  expect(await put(url)).toBe(200);
  expect(await direct.finishDirectUpload(deps, ann.actor, ticket)).toEqual(media);
  await expire();
  expect(await listLeftovers()).toEqual(NOTHING);
  expect(await readErrorCode(direct.finishDirectUpload(deps, ann.actor, ticket))).toBe('NOT_FOUND');
});

test('the parts of a copy that fails are removed once the bucket is available', async () => {
  await using fixture = await createFixture();
  const { deps, client, ann, server, start, expire, listLeftovers } = fixture;
  const { url, ticket } = await start(ann);
  await put(url);
  vi.spyOn(client, 'copyPart').mockImplementationOnce(() => {
    throw new Error('The connection was lost');
  });
  vi.spyOn(client, 'abortParts').mockRejectedValue(new Error('The connection was lost'));
  await expect(direct.finishDirectUpload(deps, ann.actor, ticket)).rejects.toThrow('The connection was lost');
  expect(await server.listPartUploads()).toHaveLength(1);
  vi.restoreAllMocks();
  await expire();
  expect(await listLeftovers()).toEqual(NOTHING);
});

type Fixture = Awaited<ReturnType<typeof createFixture>>;

/** Runs one of the things that happen to an upload, by one of two nodes. */
function createSteps(fixture: Fixture, nodes: readonly [Deps, Deps], random: (below: number) => number) {
  const { circle, start, expire } = fixture;
  return async (author: TestUser, others: readonly TestUser[]): Promise<void> => {
    const { url, ticket, messageId } = await start(author, others);
    const inParts = random(2) === 0;
    const node = (): Deps => nodes[random(2)] ?? nodes[0];
    const resume = async (): Promise<void> => {
      const { parts } = await direct.resumeDirectUpload(node(), author.actor, ticket);
      for (const part of parts) await put(part.url);
    };
    const finish = () => direct.finishDirectUpload(node(), author.actor, ticket);
    const send = inParts ? resume : () => put(url);
    const steps: (() => Promise<unknown>)[] = [
      send,
      finish,
      finish,
      // Its URL has expired long before.
      inParts ? () => expire(url) : () => put(url),
      inParts ? finish : () => direct.resumeDirectUpload(node(), author.actor, ticket),
      ...(random(4) === 0 ? [() => messages.deleteMessage(node(), author.actor, { messageId })] : []),
      ...(random(12) === 0
        ? [() => accounts.deleteAccount(node(), createSession(author.actor), { password: '' })]
        : []),
      ...(random(20) === 0
        ? [() => circles.deleteCircle(node(), author.actor, { circleId: circle.id })]
        : []),
    ];
    if (random(2) === 0) await send().catch(() => undefined);
    const delays = steps.map(() => random(60));
    await Promise.all(
      steps.map(async (step, index) => {
        await stagger(delays[index] ?? 0);
        // Any of them may have ended the upload.
        await readErrorCode(step());
      }),
    );
  };
}

test.each(SEEDS)('histories of uploads leave nothing behind: seed %i', async (seed) => {
  const random = createRandom(seed);
  await using fixture = await createFixture();
  const { deps, ann, bob, expire, listLeftovers } = fixture;
  const run = createSteps(fixture, [nodeOf(deps), nodeOf(deps)], random);
  const outcomes: string[] = [];
  for (const author of [ann, bob, ann, bob, ann, ann, bob, ann])
    outcomes.push(
      ...(await Promise.all(
        indexes(2).map(() => readErrorCode(run(author, [author === ann ? bob : ann]))),
      ).then((codes) => codes.map(String))),
    );
  // Without its circle or account, an author starts none.
  expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThan(1);
  await expire();
  expect(await listLeftovers()).toEqual(NOTHING);
});
