import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { notFound } from '../errors.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { createFolderStorage } from './media-storage-fs.ts';
import { requireStoredName } from './media-storage.ts';
import type { MediaStorage, StoredFile } from './media-storage.ts';
import type { S3Client } from './s3-client.ts';

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
    presignDownload: (name, headers) => client.presignDownload(requireStoredName(name), headers),
    async [Symbol.asyncDispose]() {
      await writes.settle();
      await spool[Symbol.asyncDispose]();
    },
  };
}
