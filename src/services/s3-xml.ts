import { escapeHtml } from '../lib/escape-html.ts';

/** A part of a file that has arrived. */
export interface StoredPart {
  readonly number: number;
  readonly size: number;
  /** As XML. */
  readonly etag: string;
}

/** Returns the text of the first element of a name, as XML. */
export const textOf = (xml: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];

/** Returns the text of a header as XML. */
export const toXml = (text: string | null): string => escapeHtml(text ?? '');

/** Returns the parts that a list of S3 names. */
export const parseParts = (xml: string): StoredPart[] =>
  Array.from(xml.matchAll(/<Part>([^]*?)<\/Part>/g), ([, part = '']) => ({
    number: Number(textOf(part, 'PartNumber')),
    size: Number(textOf(part, 'Size')),
    etag: textOf(part, 'ETag') ?? '',
  }));

/** Returns the body of the request that joins parts. */
export function formatParts(parts: readonly StoredPart[]): string {
  const elements = parts.map(
    ({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload>${elements.join('')}</CompleteMultipartUpload>`;
}
