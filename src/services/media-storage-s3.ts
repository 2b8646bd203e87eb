import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { invalidInput, notFound } from '../errors.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { Semaphore } from '../lib/semaphore.ts';
import { detectContentType, SNIFFED_BYTES } from './content-type.ts';
import { createFolderStorage } from './media-storage-fs.ts';
import { requireStoredName } from './media-storage.ts';
import type { MediaStorage, RecordName, StoredFile } from './media-storage.ts';
import type { S3Client } from './s3-client.ts';
import { createPartUploads } from './s3-part-uploads.ts';
import { createTransfers } from './s3-transfers.ts';
import type { S3Transfers } from './s3-transfers.ts';

export interface S3StorageOptions {
  readonly client: S3Client;
  /** A folder of this process alone, for uploads that arrive through this server: S3 needs their size in advance. */
  readonly spoolDir: string;
  /** Size of the parts in which larger files are stored. Only for tests: the default suits every bucket. */
  readonly partBytes?: number;
}

/** Requests of one removal that run concurrently. */
const MAX_DELETES = 10;

/** Opens a storage in a bucket of S3 or of a compatible server. Throws if the bucket cannot be used. */
export async function createS3Storage({
  client,
  spoolDir,
  partBytes,
}: S3StorageOptions): Promise<MediaStorage> {
  await client.checkBucket();
  const transfers = createTransfers(client, partBytes);
  const spool = await createFolderStorage(spoolDir);
  const writes = new PendingWork();
  const move = async (file: StoredFile, onName: RecordName | undefined): Promise<StoredFile> => {
    try {
      await transfers.put(file.name, await openAsBlob(join(spoolDir, file.name)), onName);
      return file;
    } finally {
      await spool.remove([file.name]);
    }
  };
  return {
    write: (content, maxBytes, onName) =>
      writes.run(async () => move(await spool.write(content, maxBytes, onName), onName)),
    async read(name, range) {
      const body = await client.get(requireStoredName(name), range);
      if (body === undefined) throw notFound('The file');
      return Readable.fromWeb(body);
    },
    async remove(names) {
      const deletes = new Semaphore(MAX_DELETES);
      await Promise.all(names.map((name) => deletes.run(() => client.delete(requireStoredName(name)))));
    },
    async presignUpload(size, onName) {
      const name = crypto.randomUUID();
      await onName(name);
      return { name, ...(await client.presignUpload(name, size)) };
    },
    adopt: (source, size, onName) =>
      writes.run(() => adopt({ client, transfers }, requireStoredName(source), size, onName)),
    partUploads: createPartUploads(client),
    presignDownload: (name, headers) => client.presignDownload(requireStoredName(name), headers),
    async [Symbol.asyncDispose]() {
      await writes.settle();
      await spool[Symbol.asyncDispose]();
    },
  };
}

interface Bucket {
  readonly client: S3Client;
  readonly transfers: S3Transfers;
}

async function adopt(
  { client, transfers }: Bucket,
  source: string,
  size: number,
  onName: RecordName,
): Promise<StoredFile> {
  requireSize(await client.findSize(source), size);
  const name = crypto.randomUUID();
  await onName(name);
  // Copied before it is inspected: the original may still be replaced.
  if (!(await transfers.copy(source, name, size, onName))) throw notFound('The upload');
  requireSize(await client.findSize(name), size);
  return { name, size, contentType: await detectContentType(await readHead(client, name, size)) };
}

function requireSize(found: number | undefined, size: number): void {
  if (found === undefined) throw notFound('The upload');
  if (found !== size) throw invalidInput('ticket', `The uploaded file does not have ${size} bytes.`);
}

async function readHead(client: S3Client, name: string, size: number): Promise<Buffer> {
  if (size === 0) return Buffer.alloc(0);
  const head = await client.read(name, { start: 0, end: Math.min(size, SNIFFED_BYTES) - 1 });
  if (head === undefined) throw notFound('The file');
  return head;
}
