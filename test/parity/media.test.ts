import { expect, test } from 'vitest';
import type { TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** Uploads a file as the Android app does: with its own boundary, a full path, no content type, and the raw token. */
async function uploadAsAndroid(
  url: string,
  account: TestAccount,
  mediaId: number,
  content: Buffer,
  path: string,
) {
  const body = Buffer.concat([
    Buffer.from(`--*****\r\nContent-Disposition: form-data; name="file";filename="${path}"\r\n\r\n`),
    content,
    Buffer.from('\r\n--*****--\r\n'),
  ]);
  const response = await fetch(`${url}/media/upload/${mediaId}`, {
    method: 'POST',
    headers: { authorization: account.token, 'content-type': 'multipart/form-data;boundary=*****' },
    body,
  });
  return { status: response.status, body: await response.json() };
}

test('files announced over Socket.IO and uploaded by a legacy app are visible over both APIs', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await ann.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });

  legacyClient.emit('message', {
    conversation_id: conversation.legacyId,
    text_message: 'two',
    files: ['a.png', ['E621E1F8', 'C36C']],
  });
  const { media_list: mediaList, message_id: id } = await legacyClient.expect<{
    media_list: { id: number }[];
    message_id: number;
  }>('media');
  expect(mediaList).toEqual([
    { id: expect.any(Number), filename: null, extension: null, identifier: 'a.png', uploaded: 'False' },
    {
      id: expect.any(Number),
      filename: null,
      extension: null,
      identifier: expect.any(String),
      uploaded: 'False',
    },
  ]);
  expect(await legacyClient.expect('success')).toEqual({ received: true, message_id: id });
  const pendingFrame = await legacyClient.expect<Record<string, unknown>>('message');
  expect(Object.keys(pendingFrame)).toEqual(['conversation_id', 'message', 'status']);
  expect(pendingFrame).toMatchObject({ message: { id, medias: 2, content: 'two' }, status: 'pending' });
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { status: 'PENDING' } });

  const [firstMedia = { id: 0 }, secondMedia = { id: 0 }] = mediaList;
  expect(await uploadAsAndroid(app.url, bob, firstMedia.id, PNG, 'x.png')).toMatchObject({ status: 403 });
  expect(await uploadAsAndroid(app.url, ann, firstMedia.id, PNG, '/sdcard/DCIM/photo.png')).toEqual({
    status: 200,
    body: { success: true },
  });
  const uploadedFrame = await legacyClient.expect<Record<string, unknown>>('message');
  expect(Object.keys(uploadedFrame)).toEqual(['conversation_id', 'message', 'sender', 'media', 'status']);
  expect(uploadedFrame).toMatchObject({
    media: { id: firstMedia.id, filename: 'photo', extension: '.png', uploaded: 'True' },
    sender: { email: ann.login },
    status: 'done',
  });
  expect(await events.nextOf('MediaUploaded')).toMatchObject({
    message: { status: 'PENDING' },
    media: { filename: 'photo' },
  });

  expect(await uploadAsAndroid(app.url, ann, secondMedia.id, PNG, 'photo.png')).toMatchObject({
    status: 200,
  });
  expect(await legacyClient.expect('message')).toMatchObject({
    media: { id: secondMedia.id },
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/),
    media_list: [
      { id: firstMedia.id, uploaded: 'True' },
      { id: secondMedia.id, uploaded: 'True' },
    ],
    status: 'done',
  });
  expect(await events.nextOf('MediaUploaded')).toMatchObject({ message: { status: 'DONE' } });

  const file = await fetch(`${app.url}/media/${firstMedia.id}`, {
    headers: { authorization: `Bearer ${bob.token}`, range: 'bytes=1-3' },
  });
  expect({ status: file.status, type: file.headers.get('content-type'), text: await file.text() }).toEqual({
    status: 206,
    type: 'image/png',
    text: 'PNG',
  });
});

test('files announced and uploaded over GraphQL are visible over both APIs', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const { sendMessage: result } = await sendMessage(ann, conversation, 'one', ['a.png']);
  expect(await legacyClient.expect('message')).toMatchObject({ status: 'pending', message: { medias: 1 } });

  const form = new FormData();
  const query =
    'mutation ($id: ID!, $file: Upload!) { uploadMedia(mediaId: $id, file: $file) { id filename extension contentType size uploaded } }';
  form.set('operations', JSON.stringify({ query, variables: { id: result.media[0]?.id, file: null } }));
  form.set('map', '{"0":["variables.file"]}');
  form.set('0', new File([PNG], 'photo.png'));
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ann.token}` },
    body: form,
  });
  expect(await response.json()).toEqual({
    data: {
      uploadMedia: {
        id: result.media[0]?.id,
        filename: 'photo',
        extension: '.png',
        contentType: 'image/png',
        size: PNG.length,
        uploaded: true,
      },
    },
  });
  expect(await legacyClient.expect('message')).toMatchObject({
    status: 'done',
    media: { filename: 'photo' },
    media_list: [{}],
  });
});
