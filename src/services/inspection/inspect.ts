import type { ByteReader } from './byte-reader.ts';

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
