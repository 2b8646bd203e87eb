// The inspecting process asks for bytes and tells what it found, in lines of JSON on its standard output. The bytes arrive
// on its standard input, in the order of its requests. No text of it is trusted: a file may have taken it over.
import { z } from 'zod';
import { MAX_MESSAGE_LENGTH, MAX_PREVIEW_BYTES } from './inspect.ts';

/** Most characters of a line from the inspecting process. */
export const MAX_LINE_LENGTH = 16_384;
/** More is not an image or a video, or it is a lie. */
const MAX_SIDE = 1_000_000;
/** Seconds: a year. */
const MAX_DURATION = 31_536_000;

const WEBP_HEAD = /^RIFF[^]{4}WEBP/;

const side = z.number().int().min(1).max(MAX_SIDE);

/** Findings so far: later lines add to them. */
const foundSchema = z
  .object({
    width: side,
    height: side,
    /** In seconds. */
    duration: z.number().positive().max(MAX_DURATION),
    /** A WebP image. */
    preview: z
      .base64()
      .transform((text) => Buffer.from(text, 'base64'))
      .refine((bytes) => bytes.length <= MAX_PREVIEW_BYTES && WEBP_HEAD.test(bytes.toString('latin1'))),
  })
  .partial();

/** Requests the bytes from `start` up to but not including `end`. */
const requestSchema = z.tuple([z.number().int().min(0), z.number().int().min(1)]);

const lineSchema = z.union([
  z.strictObject({ read: requestSchema }),
  z.strictObject({ found: foundSchema }),
  /** The message of the error with which the parser failed to load. */
  z.strictObject({ missing: z.string().max(MAX_MESSAGE_LENGTH) }),
]);

export type Found = z.infer<typeof foundSchema>;
export type Line = z.infer<typeof lineSchema>;

/** Returns a line of the inspecting process; undefined for any other text. */
export function parseLine(text: string): Line | undefined {
  if (text.length > MAX_LINE_LENGTH) return undefined;
  try {
    return lineSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
