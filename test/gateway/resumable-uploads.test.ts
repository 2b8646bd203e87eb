import { describe, expect, inject, test } from 'vitest';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openTestDatabase } from '../harness/database.ts';
import { PNG } from '../harness/media.ts';
import { createContent, createFolder, openLossyProxy, startFixture } from '../harness/resumable-uploads.ts';
import {
  encodeMetadata,
  openPiece,
  readOffset,
  sendPiece,
  sendTus,
  startResumable,
  uploadWithClient,
} from '../harness/tus.ts';

test('an upload by tus-js-client whose connection is lost continues where it was', async () => {
  await using folder = await createFolder();
  await using fixture = await startFixture({ env: { MEDIA_DIR: folder.path } });
  const { app, ann, bob, conversation, mediaId, download } = fixture;
  await using events = await bob.subscribeToConversation(conversation.id);
  const content = createContent(3_000_000);
  await using proxy = await openLossyProxy(app.url, folder, 2);
  const offsets: number[] = [];
  await uploadWithClient({ url: proxy.url, token: ann.token }, content, {
    metadata: { mediaId, filename: 'holiday.mp4' },
    onAfterResponse: (request, response) => {
      if (request.getMethod() === 'HEAD') offsets.push(Number(response.getHeader('upload-offset')));
    },
  });
  expect(offsets).toHaveLength(2);
  for (const [index, offset] of offsets.entries())
    expect(offset).toBeGreaterThanOrEqual(proxy.written[index] ?? Infinity);
  expect((await download()).equals(content)).toBe(true);
  expect(await events.nextOf('MediaUploaded')).toMatchObject({ message: { status: 'DONE' } });
});

test('each piece is confirmed, and the last one publishes the file under its name', async () => {
  await using fixture = await startFixture();
  const { bob, conversation, mediaId, sender, download } = fixture;
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const path = await startResumable(sender, mediaId, PNG.length, 'my photo.png');
  expect(path).toMatch(/^\/media\/resumable\/[0-9a-f-]{36}$/);
  const first = await sendPiece(sender, path, 0, PNG.subarray(0, 10));
  expect([first.status, first.headers.get('upload-offset')]).toEqual([204, '10']);
  const head = await sendTus(sender, 'HEAD', path);
  expect(Object.fromEntries(head.headers)).toMatchObject({
    'upload-offset': '10',
    'upload-length': String(PNG.length),
    'upload-metadata': encodeMetadata({ mediaId, filename: 'my photo.png' }),
    'cache-control': 'no-store',
    'tus-resumable': '1.0.0',
  });
  const expiresAt = Date.parse(head.headers.get('upload-expires') ?? '');
  expect(expiresAt - Date.now()).toBeGreaterThan(23 * 3_600_000);
  const last = await sendPiece(sender, path, 10, PNG.subarray(10));
  expect([last.status, last.headers.get('upload-offset')]).toEqual([204, String(PNG.length)]);
  await legacyClient.expect('message');
  expect(await download()).toEqual(PNG);
  const { node } = await bob.graphql.run<{ node: object }>(
    'query ($id: ID!) { node(id: $id) { ... on Media { filename extension contentType size } } }',
    { id: mediaId },
  );
  expect(node).toEqual({
    filename: 'my photo',
    extension: '.png',
    contentType: 'image/png',
    size: PNG.length,
  });
  // A client that lost the response asks, and learns that all has arrived.
  expect(await readOffset(sender, path)).toBe(PNG.length);
  expect((await sendPiece(sender, path, PNG.length, Buffer.alloc(0))).status).toBe(204);
});

test('a file is published once, however often its client asks whether it has arrived', async () => {
  await using fixture = await startFixture();
  const { bob, conversation, mediaId, sender } = fixture;
  await using events = await bob.subscribeToConversation(conversation.id);
  const path = await startResumable(sender, mediaId, PNG.length);
  const requests = [
    sendPiece(sender, path, 0, PNG),
    ...Array.from({ length: 4 }, () => sendTus(sender, 'HEAD', path)),
  ];
  for (const { status } of await Promise.all(requests)) expect([200, 204, 409]).toContain(status);
  // One that asked meanwhile may have ended the piece.
  const offset = await readOffset(sender, path);
  if (offset < PNG.length)
    expect((await sendPiece(sender, path, offset, PNG.subarray(offset))).status).toBe(204);
  await events.nextOf('MediaUploaded');
  await sendMessage(bob, conversation, 'after');
  expect(await events.next()).toMatchObject({ __typename: 'MessageSent', message: { text: 'after' } });
});

test('a client that reconnects ends its former request, and learns what arrived of it', async () => {
  await using folder = await createFolder();
  await using fixture = await startFixture({ env: { MEDIA_DIR: folder.path } });
  const { mediaId, sender, download } = fixture;
  const content = createContent(100_000);
  const path = await startResumable(sender, mediaId, content.length);
  const first = openPiece(sender, path, 0, content.length);
  await first.write(content.subarray(0, 40_000));
  await expect.poll(folder.size).toBe(40_000);
  expect(await readOffset(sender, path)).toBe(40_000);
  expect((await first.response).statusCode).toBe(409);
  expect((await sendPiece(sender, path, 0, content)).status).toBe(409);
  expect((await sendPiece(sender, path, 40_000, content.subarray(40_000))).status).toBe(204);
  expect((await download()).equals(content)).toBe(true);
});

describe.skipIf(inject('database') !== 'postgres')('two nodes that share a folder', () => {
  test('an upload continues at the other node, and what the former one still receives is dropped', async () => {
    await using folder = await createFolder();
    const database = await openTestDatabase();
    const env = { AUTH_SECRET: 'shared by both nodes', MEDIA_DIR: folder.path };
    await using fixture = await startFixture({ database, env });
    await using node = await createGateway({ database, env });
    const { mediaId, sender, download } = fixture;
    const content = createContent(100_000);
    const path = await startResumable(sender, mediaId, content.length);
    expect((await sendPiece(sender, path, 0, content.subarray(0, 10_000))).status).toBe(204);
    const stalled = openPiece(sender, path, 10_000, 90_000);
    await stalled.write(content.subarray(10_000, 20_000));
    await expect.poll(folder.size).toBe(20_000);
    const there = { ...sender, url: node.url };
    const offset = await readOffset(there, path);
    expect(offset).toBeGreaterThanOrEqual(10_000);
    const second = openPiece(there, path, offset, content.length - offset);
    await second.write(content.subarray(offset, 60_000));
    await expect.poll(folder.size).toBe(60_000);
    stalled.cut();
    await second.write(content.subarray(60_000));
    expect((await second.response).statusCode).toBe(204);
    expect((await download()).equals(content)).toBe(true);
  });
});

test('a new upload for the same file replaces the former one', async () => {
  await using fixture = await startFixture();
  const { mediaId, sender, download } = fixture;
  const former = await startResumable(sender, mediaId, 10);
  await sendPiece(sender, former, 0, Buffer.from('former'));
  const path = await startResumable(sender, mediaId, PNG.length);
  expect((await sendTus(sender, 'HEAD', former)).status).toBe(404);
  await sendPiece(sender, path, 0, PNG);
  expect(await download()).toEqual(PNG);
});

test('an upload ends with its message, and with the access of its author', async () => {
  await using app = await startTestApp();
  const [ann, bob, carl] = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  const conversation = await createConversation(ann, await createCircle(ann, bob, carl), bob, carl);
  const start = async (account: TestAccount) => {
    const { sendMessage: sent } = await sendMessage(account, conversation, '', ['file']);
    const sender = { url: app.url, token: account.token };
    const path = await startResumable(sender, sent.media[0]?.id ?? '', 10);
    return { sender, path, id: sent.message.id };
  };
  const [one, two] = [await start(ann), await start(bob)];
  await ann.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', { id: one.id });
  expect((await sendTus(one.sender, 'HEAD', one.path)).status).toBe(404);
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: bob.login },
  );
  expect((await sendTus(two.sender, 'HEAD', two.path)).status).toBe(403);
  expect((await sendPiece(two.sender, two.path, 0, Buffer.from('x'))).status).toBe(403);
});
