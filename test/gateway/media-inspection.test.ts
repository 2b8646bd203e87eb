import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createMp3, createPng } from '../harness/media-files.ts';
import { sendFile, uploadFile } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';

interface Details {
  readonly width: number | null;
  readonly height: number | null;
  readonly duration: number | null;
  readonly preview: string | null;
}

const NONE: Details = { width: null, height: null, duration: null, preview: null };

async function readDetails({ graphql }: Pick<TestAccount, 'graphql'>, id: string): Promise<Details> {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Media { width height duration preview } } }';
  return (await graphql.run<{ node: Details }>(query, { id })).node;
}

async function waitForDetails(
  account: Pick<TestAccount, 'graphql'>,
  id: string,
  expected: Partial<Details>,
): Promise<void> {
  await expect.poll(() => readDetails(account, id), { timeout: 50_000 }).toMatchObject(expected);
}

const createPhoto = () =>
  sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer();

describe.each([
  ['a folder', () => ({ env: {}, [Symbol.asyncDispose]: async () => undefined })],
  ['a bucket', startS3],
])('in %s', (_name, openStorage) => {
  test('files have details shortly after their upload, until they are replaced', async () => {
    await using storage = await openStorage();
    await using app = await startTestApp({ env: storage.env });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    await using events = await bob.subscribeToConversation(conversation.id);
    const { mediaId } = await sendFile(app, ann, conversation, await createPhoto(), 'photo.jpg');
    expect(await events.nextOf('MediaUploaded')).toMatchObject({ message: { status: 'DONE' } });
    await waitForDetails(bob, mediaId, { width: 300, height: 200, duration: null });
    const { preview } = await readDetails(bob, mediaId);
    expect(preview).toMatch(/^data:image\/webp;base64,UklGR/);
    expect(preview?.length).toBeLessThan(5_600);

    await uploadFile(app, ann, mediaId, createMp3(100), 'song.mp3');
    await waitForDetails(bob, mediaId, {
      width: null,
      preview: null,
      duration: expect.closeTo(2.6, 1) as number,
    });
    await uploadFile(app, ann, mediaId, 'plain text');
    expect(await readDetails(bob, mediaId)).toEqual(NONE);
  });

  test('an image bomb is stored like any other file, without a preview', async () => {
    await using storage = await openStorage();
    await using app = await startTestApp({ env: storage.env });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const { mediaId } = await sendFile(app, ann, conversation, createPng(8_000, 7_000));
    await waitForDetails(bob, mediaId, { width: 8_000, height: 7_000, preview: null });
  });
});

test('a file that its sender uploads to the bucket is inspected', async () => {
  await using server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['photo']);
  const id = sent.media[0]?.id ?? '';
  const photo = await createPhoto();
  const { startUpload } = await ann.graphql.run<{ startUpload: { url: string; ticket: string } }>(
    'mutation ($id: ID!, $size: Float!) { startUpload(mediaId: $id, filename: "a.jpg", size: $size) { url ticket } }',
    { id, size: photo.length },
  );
  expect((await fetch(startUpload.url, { method: 'PUT', body: photo })).status).toBe(200);
  expect(await readDetails(bob, id)).toEqual(NONE);
  await ann.graphql.run('mutation ($ticket: String!) { finishUpload(ticket: $ticket) { id } }', startUpload);
  await waitForDetails(bob, id, { width: 300, height: 200 });
});

test('subscribers receive the files of their conversation whose inspection ends, until they are removed', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using inspected = bob.graphql.subscribe<Details & { readonly id: string }>(
    'subscription ($id: ID!) { mediaInspected(conversationId: $id) { id width preview } }',
    { id: conversation.id },
  );
  // Opened later, on the same connection.
  await using _events = await bob.subscribeToConversation(conversation.id);
  const { mediaId } = await sendFile(app, ann, conversation, createPng(40, 30));
  expect(await inspected.next(undefined, 50_000)).toEqual({
    id: mediaId,
    width: 40,
    preview: expect.stringContaining('data:image/webp') as string,
  });
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: bob.login },
  );
  expect(await inspected.waitForEnd()).toMatchObject([{ extensions: { reason: 'KICKED' } }]);
});

test('files that were not inspected are inspected by the next server that does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-media-'));
  const database = await openTestDatabase();
  const env = { MEDIA_DIR: folder, AUTH_SECRET: 'a secret that both servers have' };
  try {
    await using former = await createGateway({ database, env: { ...env, MEDIA_INSPECTION: 'off' } });
    const { ann, conversation } = await createAnnAndBob(former);
    const { mediaId } = await sendFile(former, ann, conversation, await createPhoto());
    await using app = await createGateway({ database, env });
    await using graphql = createGraphqlClient(app.url, ann.token);
    await waitForDetails({ graphql }, mediaId, { width: 300, height: 200 });
  } finally {
    await rm(folder, { recursive: true });
  }
});
