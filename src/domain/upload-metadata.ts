import { invalidInput } from '../errors.ts';
import { parseId } from '../ids.ts';
import type { MediaId } from '../ids.ts';

const MAX_LENGTH = 4_096;
/** A key, and its value in Base64 unless it is empty (tus 1.0). */
const PAIR = /^([!-+\--~]+)(?: ([a-z0-9+/]*={0,2}))?$/i;

/** Description of a resumable upload by its client. */
export interface UploadMetadata {
  readonly mediaId: MediaId;
  readonly filename: string;
}

/** Parses the header `Upload-Metadata`. Throws INVALID_INPUT. */
export function parseUploadMetadata(text: string): UploadMetadata {
  if (text.length > MAX_LENGTH)
    throw invalidInput('Upload-Metadata', `Upload-Metadata may have at most ${MAX_LENGTH} characters.`);
  const values = new Map<string, string>();
  for (const pair of text.split(',')) {
    const [, key, value = ''] = PAIR.exec(pair.trim()) ?? [];
    if (key === undefined) throw invalidInput('Upload-Metadata', 'Upload-Metadata is malformed.');
    values.set(key, Buffer.from(value, 'base64').toString());
  }
  const mediaId = parseId<'Media'>(values.get('mediaId')?.replace(/^Media:/, '') ?? '');
  if (mediaId === undefined)
    throw invalidInput('Upload-Metadata', 'Upload-Metadata must have the id of the media as `mediaId`.');
  return { mediaId, filename: values.get('filename') ?? '' };
}
