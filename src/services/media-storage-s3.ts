import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { invalidInput, notFound } from '../errors.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { detectContentType, SNIFFED_BYTES } from './content-type.ts';
import { createFolderStorage } from './media-storage-fs.ts';
import { requireStoredName } from './media-storage.ts';
import type { MediaStorage, StoredFile } from './media-storage.ts';
import type { S3Client } from './s3-client.ts';
import { createPartUploads } from './s3-part-uploads.ts';

export interface S3StorageOptions {
  readonly client: S3Client;
  /** A folder of this process alone, for uploads that arrive through this server: S3 needs their size in advance. */
  readonly spoolDir: string;
}

/** Opens a storage in a bucket of S3 or of a compatible server. Throws if the bucket cannot be used. */
export async function createS3Storage({ client, spoolDir }: S3StorageOptions): Promise<MediaStorage> {
  await client.checkBucket();
  const spool = await createFolderStorage(spoolDir);
  const writes = new PendingWork();
  const move = async (file: StoredFile): Promise<StoredFile> => {
    try {
      await client.put(file.name, await openAsBlob(join(spoolDir, file.name)));
      return file;
    } finally {
      await spool.remove([file.name]);
    }
  };
  return {
    write: (content, maxBytes, onName) =>
      writes.run(async () => move(await spool.write(content, maxBytes, onName))),
    async read(name, range) {
      const body = await client.get(requireStoredName(name), range);
      if (body === undefined) throw notFound('The file');
      return Readable.fromWeb(body);
    },
    async remove(names) {
      for (const name of names) await client.delete(requireStoredName(name));
    },
    async presignUpload(size, onName) {
      const name = crypto.randomUUID();
      await onName(name);
      return { name, ...(await client.presignUpload(name, size)) };
    },
    adopt: (source, size, onName) => writes.run(() => adopt(client, requireStoredName(source), size, onName)),
    partUploads: createPartUploads(client),
    presignDownload: (name, headers) => client.presignDownload(requireStoredName(name), headers),
    async [Symbol.asyncDispose]() {
      await writes.settle();
      await spool[Symbol.asyncDispose]();
    },
  };
}

async function adopt(
  client: S3Client,
  source: string,
  size: number,
  onName: (name: string) => Promise<void>,
): Promise<StoredFile> {
  if ((await client.findSize(source)) === undefined) throw notFound('The upload');
  const name = crypto.randomUUID();
  await onName(name);
  // Copied before it is inspected: the original may still be replaced.
  if (!(await client.copy(source, name))) throw notFound('The upload');
  if ((await client.findSize(name)) !== size)
    throw invalidInput('ticket', `The uploaded file does not have ${size} bytes.`);
  return { name, size, contentType: await detectContentType(await readHead(client, name, size)) };
}

async function readHead(client: S3Client, name: string, size: number): Promise<Buffer> {
  if (size === 0) return Buffer.alloc(0);
  const body = await client.get(name, { start: 0, end: Math.min(size, SNIFFED_BYTES) - 1 });
  if (body === undefined) throw notFound('The file');
  return buffer(body);
}
