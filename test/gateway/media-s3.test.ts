import { once } from 'node:events';
import { request } from 'node:http';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { S3Client } from '../../src/services/s3-client.ts';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { PNG, readMediaUrl, sendFile, uploadFile } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';

test('files are in the bucket, and clients with a URL download them from there', async () => {
  await using server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const [ann, bob, carl] = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  const conversation = await createConversation(ann, await createCircle(ann, bob, carl), bob, carl);
  const { mediaId, messageId } = await sendFile(app, ann, conversation, PNG, 'photo.png');
  expect(await server.listObjects()).toHaveLength(1);

  const url = await readMediaUrl(app, bob, mediaId);
  const redirect = await fetch(url, { redirect: 'manual' });
  const location = redirect.headers.get('location') ?? '';
  expect([redirect.status, redirect.headers.get('cache-control')]).toEqual([302, 'no-store']);
  expect(location.startsWith(`${server.settings.endpoint}/media/`)).toBe(true);
  const file = await fetch(url, { headers: { range: 'bytes=1-3' } });
  expect([file.status, file.url, await file.text()]).toEqual([206, location, 'PNG']);
  expect(file.headers.get('content-type')).toBe('image/png');
  expect(file.headers.get('content-disposition')).toBe('inline; filename=photo.png');
  const head = await fetch(url, { method: 'HEAD', redirect: 'manual' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(PNG.length)]);

  // With a token, which the client might pass on to the bucket.
  const withToken = await fetch(`${app.url}/media/${mediaId.slice(6)}`, {
    headers: { authorization: `Bearer ${bob.token}`, range: 'bytes=1-3' },
    redirect: 'manual',
  });
  expect([withToken.status, await withToken.text()]).toEqual([206, 'PNG']);

  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: bob.login },
  );
  expect((await fetch(url, { redirect: 'manual' })).status).toBe(403);

  await uploadFile(app, ann, mediaId, 'replaced');
  expect(await server.listObjects()).toHaveLength(1);
  await ann.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', { id: messageId });
  await expect.poll(() => server.listObjects()).toEqual([]);
});

const START =
  'mutation ($id: ID!, $size: Float!) { startUpload(mediaId: $id, filename: "my photo.png", size: $size) { url ticket expiresAt } }';
const FINISH =
  'mutation ($ticket: String!) { finishUpload(ticket: $ticket) { id filename extension contentType size uploaded } }';
type Started = { startUpload: { url: string; ticket: string; expiresAt: string } | null };

test('a file that its sender uploads to the bucket is published like any other', async () => {
  await using server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'photo', ['photo']);
  const id = sent.media[0]?.id ?? '';
  await using events = await bob.subscribeToConversation(conversation.id);

  const { startUpload: started } = await ann.graphql.run<Started>(START, { id, size: PNG.length });
  if (started === null) throw new Error('The bucket takes no uploads');
  expect(Date.parse(started.expiresAt)).toBeGreaterThan(Date.now());
  const finish = (account = ann) => account.graphql.expectError(FINISH, { ticket: started.ticket });
  expect(await finish()).toBe('NOT_FOUND');
  const { status } = await fetch(started.url, { method: 'PUT', body: PNG });
  expect(status).toBe(200);
  expect(await finish(bob)).toBe('INVALID_INPUT');
  expect(await ann.graphql.run(FINISH, { ticket: started.ticket })).toEqual({
    finishUpload: {
      id,
      filename: 'my photo',
      extension: '.png',
      contentType: 'image/png',
      size: PNG.length,
      uploaded: true,
    },
  });
  expect(await events.nextOf('MediaUploaded')).toMatchObject({ message: { status: 'DONE' } });
  await legacyClient.expect('message');
  // As by a client that has lost the response.
  expect(await ann.graphql.run(FINISH, { ticket: started.ticket })).toMatchObject({ finishUpload: { id } });
  await sendMessage(ann, conversation, 'after');
  expect(await events.next()).toMatchObject({ __typename: 'MessageSent', message: { text: 'after' } });
  expect(await server.listObjects()).toHaveLength(1);
  const file = await fetch(await readMediaUrl(app, bob, id));
  expect(Buffer.from(await file.arrayBuffer())).toEqual(PNG);
});

const RESUME =
  'mutation ($ticket: String!) { resumeUpload(ticket: $ticket) { received expiresAt parts { number offset size url } } }';
type Resumed = {
  resumeUpload: {
    received: number;
    expiresAt: string;
    parts: { number: number; offset: number; size: number; url: string }[];
  };
};
const PART_BYTES = 5 * 1024 ** 2;

test('a file is uploaded to the bucket in parts, and those whose connection was lost are sent again', async () => {
  await using server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['film']);
  const id = sent.media[0]?.id ?? '';
  const content = Buffer.from(
    Uint8Array.from({ length: 2 * PART_BYTES + 1_000 }, (_byte, index) => index % 251),
  );
  const { startUpload: started } = await ann.graphql.run<Started>(START, { id, size: content.length });
  const ticket = started?.ticket ?? '';
  const resume = async () => (await ann.graphql.run<Resumed>(RESUME, { ticket })).resumeUpload;
  const put = async ({ url, offset, size }: Resumed['resumeUpload']['parts'][number]) =>
    (await fetch(url, { method: 'PUT', body: content.subarray(offset, offset + size) })).status;

  const { received, parts, expiresAt } = await resume();
  expect(received).toBe(0);
  expect(parts.map(({ number, offset, size }) => [number, offset, size])).toEqual([
    [1, 0, PART_BYTES],
    [2, PART_BYTES, PART_BYTES],
    [3, 2 * PART_BYTES, 1_000],
  ]);
  expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
  const [one, two, three] = parts;
  if (one === undefined || two === undefined || three === undefined) throw new Error('Parts are missing');
  expect(await put(three)).toBe(200);
  await cutPut(one.url, content.subarray(0, PART_BYTES));
  expect((await fetch(two.url, { method: 'PUT', body: content.subarray(0, 10) })).status).toBe(403);
  expect(await ann.graphql.expectError(FINISH, { ticket })).toBe('INVALID_INPUT');
  expect(await bob.graphql.expectError(RESUME, { ticket })).toBe('INVALID_INPUT');

  const rest = await resume();
  expect([rest.received, rest.parts.map(({ number }) => number)]).toEqual([1_000, [1, 2]]);
  for (const part of rest.parts) expect(await put(part)).toBe(200);
  expect(await resume()).toMatchObject({ received: content.length, parts: [] });
  await ann.graphql.run(FINISH, { ticket });
  expect(await ann.graphql.expectError(RESUME, { ticket })).toBe('NOT_FOUND');
  const file = await fetch(await readMediaUrl(app, bob, id));
  expect(Buffer.from(await file.arrayBuffer()).equals(content)).toBe(true);
  expect([await server.listPartUploads(), await server.listObjects()]).toEqual([[], [expect.any(String)]]);
});

test('a file in the bucket is published once, and also if its parts were joined before', async () => {
  await using server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['file']);
  await using events = await bob.subscribeToConversation(conversation.id);
  const id = sent.media[0]?.id ?? '';
  const { startUpload: started } = await ann.graphql.run<Started>(START, { id, size: PNG.length });
  const ticket = started?.ticket ?? '';
  const { resumeUpload: before } = await ann.graphql.run<Resumed>(RESUME, { ticket });
  const url = new URL(before.parts[0]?.url ?? '');
  const { headers } = await fetch(url, { method: 'PUT', body: PNG });
  // As by a node that crashed afterwards.
  const client = new S3Client({ ...server.settings, now: () => Date.now(), log: createLogger('silent') });
  await client.completeParts(url.pathname.split('/').at(-1) ?? '', url.searchParams.get('uploadId') ?? '', [
    { number: 1, size: PNG.length, etag: headers.get('etag') ?? '' },
  ]);
  const { resumeUpload: after } = await ann.graphql.run<Resumed>(RESUME, { ticket });
  expect(after).toMatchObject({ received: PNG.length, parts: [] });
  for (const result of await Promise.all([1, 2, 3].map(() => ann.graphql.run(FINISH, { ticket }))))
    expect(result).toMatchObject({ finishUpload: { id, uploaded: true } });
  await events.nextOf('MediaUploaded');
  await sendMessage(bob, conversation, 'after');
  expect(await events.next()).toMatchObject({ __typename: 'MessageSent', message: { text: 'after' } });
  expect(await server.listObjects()).toHaveLength(1);
});

/** Sends half of a body, and closes the connection. */
async function cutPut(url: string, content: Uint8Array): Promise<void> {
  const sent = request(url, { method: 'PUT', headers: { 'content-length': content.length } });
  sent.write(content.subarray(0, content.length / 2), () => sent.destroy());
  await expect(once(sent, 'response')).rejects.toThrow('socket hang up');
}

test('uploads to the bucket are bounded when they start', async () => {
  await using server = await startS3();
  await using app = await startTestApp({
    env: { ...server.env, MAX_UPLOAD_BYTES: '1000', UPLOAD_QUOTA_BYTES: '1500' },
  });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'photo', ['photo']);
  const variables = (size: number) => ({ id: sent.media[0]?.id, size });
  expect(await bob.graphql.expectError(START, variables(1))).toBe('FORBIDDEN');
  expect(await ann.graphql.expectError(START, variables(1_001))).toBe('LIMIT_EXCEEDED');
  for (const size of [-1, 0.5])
    expect(await ann.graphql.expectError(START, variables(size))).toBe('INVALID_INPUT');
  await ann.graphql.run(START, variables(1_000));
  expect(await ann.graphql.expectError(START, variables(501))).toBe('RATE_LIMITED');
});

test('a gateway with a folder has no uploads past it', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'photo', ['photo']);
  expect(await ann.graphql.run(START, { id: sent.media[0]?.id, size: 1 })).toEqual({ startUpload: null });
});

test('an upload is UNAVAILABLE while the bucket is, and stores nothing', async () => {
  const server = await startS3();
  await using app = await startTestApp({ env: server.env });
  const ann = await app.createAccount();
  const conversation = await createConversation(ann, await createCircle(ann));
  const { mediaId } = await sendFile(app, ann, conversation, PNG);
  await server[Symbol.asyncDispose]();
  await expect(uploadFile(app, ann, mediaId, 'replaced')).rejects.toThrow('UNAVAILABLE');
});

test('a bucket that cannot be used stops the start', async () => {
  await using server = await startS3();
  await expect(startTestApp({ env: { ...server.env, MEDIA_S3_BUCKET: 'other' } })).rejects.toThrow(
    'Cannot store media in the bucket other (MEDIA_S3_BUCKET)',
  );
  await expect(startTestApp({ env: { MEDIA_S3_BUCKET: 'media', MEDIA_DIR: 'media' } })).rejects.toThrow(
    /MEDIA_S3_ENDPOINT: is required with the other MEDIA_S3 settings[^]*MEDIA_DIR: has no use/,
  );
});
