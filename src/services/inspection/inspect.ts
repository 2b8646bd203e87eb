import type { ByteReader } from './byte-reader.ts';

/** Longest side of a preview, in pixels. */
export const PREVIEW_PIXELS = 128;
/** Most bytes of a preview: it is sent within results. */
export const MAX_PREVIEW_BYTES = 4_096;
/** Most characters of the message about a parser that fails to load. */
export const MAX_MESSAGE_LENGTH = 2_000;

/** Findings, as they are written. */
export interface Report {
  readonly width?: number;
  readonly height?: number;
  /** Seconds. */
  readonly duration?: number;
  /** Base64. */
  readonly preview?: string;
}

/** Inspects a file, and reports what it finds as soon as it does. Throws for a file that it cannot read. */
export type Inspect = (
  file: { readonly size: number; readonly reader: ByteReader },
  report: (found: Report) => void,
) => Promise<void>;
