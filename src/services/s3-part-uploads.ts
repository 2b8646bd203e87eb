import { invalidInput } from '../errors.ts';
import { requireStoredName } from './media-storage.ts';
import type { MissingPart, PartUploads } from './part-uploads.ts';
import type { S3Client } from './s3-client.ts';
import type { StoredPart } from './s3-xml.ts';

/** The least that S3 accepts, but for the last part of a file. */
const MIN_PART_BYTES = 5 * 1024 ** 2;
const PART_STEP_BYTES = 1024 ** 2;
/** As many as one page of S3 lists. */
const MAX_PARTS = 1_000;
/** URLs that are returned together. */
const MAX_URLS = 20;

type Part = Pick<MissingPart, 'number' | 'offset' | 'size'>;

export function createPartUploads(client: S3Client): PartUploads {
  return {
    start: (name) => client.startParts(requireStoredName(name)),
    async findProgress(name, uploadId, size) {
      const stored = await client.listParts(requireStoredName(name), uploadId);
      if (stored === undefined) return { received: size, parts: [], expiresAt: client.expiryOf(0) };
      const { missing, received } = compare(size, stored);
      const next = missing.slice(0, MAX_URLS);
      const expiresAt = client.expiryOf(next.reduce((sum, part) => sum + part.size, 0));
      const parts = next.map(async (part) => {
        const { url } = await client.presignUpload(name, part.size, {
          uploadId,
          number: part.number,
          expiresAt,
        });
        return { ...part, url };
      });
      return { received, expiresAt, parts: await Promise.all(parts) };
    },
    async complete(name, uploadId, size) {
      const stored = await client.listParts(requireStoredName(name), uploadId);
      if (stored === undefined) return;
      const { missing, arrived } = compare(size, stored);
      if (missing.length > 0)
        throw invalidInput(
          'ticket',
          `${missing.length} parts of the file are missing. Query them with \`resumeUpload\`.`,
        );
      await client.completeParts(name, uploadId, arrived);
    },
    async abort(name, uploadId) {
      if ((await client.listParts(requireStoredName(name), uploadId)) === undefined) return true;
      await client.abortParts(name, uploadId);
      return false;
    },
  };
}

/** Compares the parts of a file with those that have arrived, whole. */
function compare(size: number, stored: readonly StoredPart[]) {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  const parts = splitFile(size);
  const arrived = parts.flatMap((part) => {
    const found = byNumber.get(part.number);
    return found?.size === part.size ? [found] : [];
  });
  const numbers = new Set(arrived.map(({ number }) => number));
  return {
    arrived,
    received: arrived.reduce((sum, part) => sum + part.size, 0),
    missing: parts.filter(({ number }) => !numbers.has(number)),
  };
}

/** Splits a file into parts of one size, the last one excepted. An empty file has one part. */
function splitFile(size: number): Part[] {
  const least = Math.ceil(size / MAX_PARTS / PART_STEP_BYTES) * PART_STEP_BYTES;
  const partSize = Math.max(MIN_PART_BYTES, least);
  return Array.from({ length: Math.max(1, Math.ceil(size / partSize)) }, (_part, index) => ({
    number: index + 1,
    offset: index * partSize,
    size: Math.min(partSize, size - index * partSize),
  }));
}
