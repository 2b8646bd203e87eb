import { DomainError } from '../errors.ts';
import type { ByteRange, RecordName } from './media-storage.ts';
import type { PartPosition, S3Client } from './s3-client.ts';
import type { StoredPart } from './s3-xml.ts';

/** At the least rate of a bucket a response begins within 300 s, the time that `fetch` waits for it. */
const PART_BYTES = 256 * 1024 ** 2;
/** The most that S3 accepts. */
const MAX_PARTS = 10_000;
const CONCURRENCY = 4;

/** Transfers of files of any size: above that of a part, in parts. One request takes 5 GiB at most. */
export interface S3Transfers {
  put(name: string, content: Blob, onName: RecordName | undefined): Promise<void>;
  /** Copies a file within the bucket. Returns false if there is none. */
  copy(from: string, to: string, size: number, onName: RecordName): Promise<boolean>;
}

type Transfer = (position: PartPosition, range: ByteRange) => Promise<StoredPart | undefined>;

export function createTransfers(client: S3Client, partBytes = PART_BYTES): S3Transfers {
  /** Stores a file in parts. Returns false if there is none to copy. What fails is removed, or recorded by `onName`. */
  const store = async (
    name: string,
    size: number,
    onName: RecordName | undefined,
    transfer: Transfer,
  ): Promise<boolean> => {
    const uploadId = await client.startParts(name);
    try {
      await onName?.(name, uploadId);
      const parts = await transferAll(splitBytes(size, partBytes), (number, range) =>
        transfer({ uploadId, number }, range),
      );
      if (parts === undefined) {
        await client.abortParts(name, uploadId);
        return false;
      }
      await join(client, { name, uploadId, size, parts });
      return true;
    } catch (error) {
      await client.abortParts(name, uploadId).catch(() => undefined);
      throw error;
    }
  };
  return {
    async put(name, content, onName) {
      if (content.size <= partBytes) return client.put(name, content);
      await store(name, content.size, onName, (position, { start, end }) =>
        client.putPart(name, position, content.slice(start, end + 1)),
      );
    },
    async copy(from, to, size, onName) {
      if (size <= partBytes) return client.copy(from, to, size);
      return store(to, size, onName, (position, range) => client.copyPart(from, to, position, range));
    },
  };
}

/** Transfers some parts at a time, in order. Returns undefined as soon as one is missing. Throws when none is in progress. */
async function transferAll(
  ranges: readonly ByteRange[],
  transfer: (number: number, range: ByteRange) => Promise<StoredPart | undefined>,
): Promise<StoredPart[] | undefined> {
  const stored: StoredPart[] = [];
  for (let first = 0; first < ranges.length; first += CONCURRENCY) {
    const transfers = ranges
      .slice(first, first + CONCURRENCY)
      .map((range, index) => transfer(first + index + 1, range));
    await Promise.allSettled(transfers);
    for (const part of await Promise.all(transfers)) {
      if (part === undefined) return undefined;
      stored.push(part);
    }
  }
  return stored;
}

interface TransferredFile {
  readonly name: string;
  readonly uploadId: string;
  readonly size: number;
  readonly parts: readonly StoredPart[];
}

async function join(client: S3Client, { name, uploadId, size, parts }: TransferredFile): Promise<void> {
  if (await client.completeParts(name, uploadId, parts)) return;
  // It was completed by a request whose response was lost, or it was aborted.
  if ((await client.findSize(name)) !== size)
    throw new DomainError('UNAVAILABLE', 'The media storage has lost the file. Try again later.');
}

/** Splits a file into ranges of one size, the last one excepted. */
function splitBytes(size: number, partBytes: number): ByteRange[] {
  const step = Math.max(partBytes, Math.ceil(size / MAX_PARTS));
  return Array.from({ length: Math.ceil(size / step) }, (_range, index) => ({
    start: index * step,
    end: Math.min(size, (index + 1) * step) - 1,
  }));
}
