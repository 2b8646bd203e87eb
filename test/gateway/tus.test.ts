import { expect, test, vi } from 'vitest';
import { PNG } from '../harness/media.ts';
import { createFolder, startFixture } from '../harness/resumable-uploads.ts';
import {
  encodeMetadata,
  openPiece,
  PIECE_TYPE,
  readOffset,
  sendPiece,
  sendTus,
  startResumable,
} from '../harness/tus.ts';

test('a file can be sent with the request that starts its upload, and may be empty', async () => {
  await using fixture = await startFixture();
  const { mediaId, sender, download } = fixture;
  const start = (headers: Readonly<Record<string, string>>, body?: Uint8Array<ArrayBuffer>) =>
    sendTus(
      sender,
      'POST',
      '/media/resumable',
      {
        'upload-metadata': encodeMetadata({ mediaId: mediaId.replace('Media:', ''), filename: 'a' }),
        ...headers,
      },
      body,
    );
  const response = await start({ 'upload-length': String(PNG.length), 'content-type': PIECE_TYPE }, PNG);
  expect([response.status, response.headers.get('upload-offset')]).toEqual([201, String(PNG.length)]);
  expect(await download()).toEqual(PNG);
  expect((await start({ 'upload-length': '0' })).status).toBe(201);
  expect(await download()).toEqual(Buffer.alloc(0));
});

test('an upload that its client removes is not found any more', async () => {
  await using fixture = await startFixture();
  const { mediaId, sender, other } = fixture;
  const path = await startResumable(sender, mediaId, 10);
  expect((await sendTus(other, 'DELETE', path)).status).toBe(404);
  // For clients that cannot send DELETE.
  expect((await sendTus(sender, 'POST', path, { 'x-http-method-override': 'DELETE' })).status).toBe(204);
  expect((await sendTus(sender, 'HEAD', path)).status).toBe(404);
  expect((await sendPiece(sender, path, 0, Buffer.from('x'))).status).toBe(404);
});

test('malformed requests are refused with the status of the protocol', async () => {
  await using fixture = await startFixture({ env: { MAX_UPLOAD_BYTES: '1000', UPLOAD_QUOTA_BYTES: '1500' } });
  const { mediaId, sender } = fixture;
  const metadata = encodeMetadata({ mediaId });
  const statusOf = async (headers: Readonly<Record<string, string>>) =>
    (await sendTus(sender, 'POST', '/media/resumable', { 'upload-metadata': metadata, ...headers })).status;
  expect(await statusOf({ 'upload-length': '1001' })).toBe(413);
  for (const length of ['', '-1', '1.5', 'many'])
    expect(await statusOf({ 'upload-length': length })).toBe(400);
  for (const wrong of ['', 'mediaId', 'mediaId !', encodeMetadata({ mediaId: 'Message:1' })])
    expect(await statusOf({ 'upload-length': '1', 'upload-metadata': wrong })).toBe(400);
  const wrongVersion = await sendTus(sender, 'POST', '/media/resumable', { 'tus-resumable': '0.2.2' });
  expect([wrongVersion.status, wrongVersion.headers.get('tus-version')]).toEqual([412, '1.0.0']);

  const path = await startResumable(sender, mediaId, 1_000);
  const typed = await sendTus(sender, 'PATCH', path, { 'upload-offset': '0' }, 'text');
  expect(typed.status).toBe(415);
  expect((await sendPiece(sender, path, 1, Buffer.from('x'))).status).toBe(409);
  expect((await sendPiece(sender, path, 0, Buffer.alloc(1_001))).status).toBe(400);
  expect((await sendTus(sender, 'HEAD', '/media/resumable')).status).toBe(404);
  expect((await sendTus(sender, 'HEAD', '/media/resumable/unknown')).status).toBe(404);
  const options = await fetch(`${sender.url}/media/resumable`, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example.com', 'access-control-request-method': 'PATCH' },
  });
  expect(Object.fromEntries(options.headers)).toMatchObject({
    'tus-version': '1.0.0',
    'tus-extension': 'creation,creation-with-upload,expiration,termination',
    'tus-max-size': '1000',
    'access-control-allow-methods': 'POST, HEAD, PATCH, DELETE, OPTIONS',
  });
});

test('what arrives counts for the quota of its account, again if it is sent again', async () => {
  await using fixture = await startFixture({ env: { UPLOAD_QUOTA_BYTES: '1500' } });
  const { mediaId, sender } = fixture;
  await expect(startResumable(sender, mediaId, 1_501)).rejects.toThrow('RATE_LIMITED');
  const former = await startResumable(sender, mediaId, 1_000);
  await sendPiece(sender, former, 0, Buffer.alloc(900));
  const path = await startResumable(sender, mediaId, 600);
  expect((await sendPiece(sender, path, 0, Buffer.alloc(600))).status).toBe(204);
  await expect(startResumable(sender, mediaId, 1)).rejects.toThrow('RATE_LIMITED');
});

test('a request that sends too slowly is disconnected, so that its client resumes', async () => {
  await using folder = await createFolder();
  await using fixture = await startFixture({ env: { MEDIA_DIR: folder.path } });
  const { mediaId, sender, download } = fixture;
  const path = await startResumable(sender, mediaId, PNG.length);
  using startTimer = vi.spyOn(globalThis, 'setTimeout');
  const piece = openPiece(sender, path, 0, PNG.length);
  await piece.write(PNG.subarray(0, 10));
  await expect.poll(folder.size).toBe(10);
  for (const [callback, ms] of startTimer.mock.calls) if (ms === 30_000) callback();
  await expect(piece.response).rejects.toThrow('socket hang up');
  expect(await readOffset(sender, path)).toBe(10);
  expect((await sendPiece(sender, path, 10, PNG.subarray(10))).status).toBe(204);
  expect(await download()).toEqual(PNG);
});
