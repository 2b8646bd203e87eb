import { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256. */
export const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Whether the text is the secret with this digest. Digests have one length, so that it takes the same time for any text. */
export const isSecret = (text: string, digest: Buffer): boolean => timingSafeEqual(digestOf(text), digest);
