import { pipeline, Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import { invalidInput } from '../../errors.ts';

/**
 * Longest incomplete unit at the end of a chunk that is kept for the next: a soft line break with padding that relays
 * add. Lines of RFC 2045 have at most 76 characters.
 */
const MAX_INCOMPLETE_CHARACTERS = 1_000;

/** Decodes the complete units of the text. The rest is passed again, before the next chunk. */
type Decode = (text: string, isLast: boolean) => { readonly bytes: Buffer; readonly rest: string };

/**
 * Decodes the content of a part by its `Content-Transfer-Encoding`, as a stream. RFC 7578 deprecates that header, but
 * clients built on mail libraries send it. Throws INVALID_INPUT for an unknown encoding.
 */
export function decodeTransfer(content: Readable, encoding: string): Readable {
  const decode = decoderOf(encoding);
  if (decode === undefined) return content;
  // The reader of the decoded content receives the error.
  return pipeline(content, createDecoding(decode), () => undefined);
}

/** Decodes a field value by its `Content-Transfer-Encoding`. Throws INVALID_INPUT. */
export function decodeField(value: string, encoding: string): string {
  const decode = decoderOf(encoding);
  return decode === undefined ? value : decode(Buffer.from(value).toString('latin1'), true).bytes.toString();
}

function decoderOf(encoding: string): Decode | undefined {
  switch (encoding.trim().toLowerCase()) {
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
      return undefined;
    case 'base64':
      return decodeBase64;
    case 'quoted-printable':
      return decodeQuotedPrintable;
    default:
      throw invalidInput(
        'file',
        'The Content-Transfer-Encoding of a part must be binary, 8bit, 7bit, base64 or quoted-printable.',
      );
  }
}

function createDecoding(decode: Decode): Transform {
  let rest = '';
  const decodeNext = (text: string, isLast: boolean): Buffer => {
    const decoded = decode(rest + text, isLast);
    rest = decoded.rest;
    return decoded.bytes;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      attempt(() => decodeNext(chunk.toString('latin1'), false), done);
    },
    flush(done) {
      attempt(() => decodeNext('', true), done);
    },
  });
}

function attempt(work: () => Buffer, done: (error: Error | null, bytes?: Buffer) => void): void {
  let bytes: Buffer;
  try {
    bytes = work();
  } catch (error) {
    return done(error instanceof Error ? error : new Error(String(error)));
  }
  done(null, bytes);
}

const malformedError = (encoding: string) => invalidInput('file', `The ${encoding} of a part is malformed.`);

const decodeBase64: Decode = (text, isLast) => {
  const digits = text.replace(/\s+/g, '');
  if (!/^[A-Za-z\d+/]*={0,2}$/.test(digits)) throw malformedError('base64');
  const length = isLast ? digits.length : digits.length - (digits.length % 4);
  if (isLast && digits.replace(/=+$/, '').length % 4 === 1) throw malformedError('base64');
  // Padding ends the content. It is carried over, so that any later digits make the text malformed.
  if (!isLast && digits.includes('=') && length === digits.length)
    return { bytes: Buffer.alloc(0), rest: digits };
  return { bytes: Buffer.from(digits.slice(0, length), 'base64'), rest: digits.slice(length) };
};

const decodeQuotedPrintable: Decode = (text, isLast) => {
  const cut = isLast ? text.length : text.search(/=(?:[\da-f]|[\t ]*\r?)?$/i);
  const whole = cut < 0 ? text : text.slice(0, cut);
  const rest = cut < 0 ? '' : text.slice(cut);
  if (rest.length > MAX_INCOMPLETE_CHARACTERS) throw malformedError('quoted-printable');
  const joined = whole.replace(/=[\t ]*(?:\r?\n|$)/g, '');
  if (/=(?![\da-f]{2})/i.test(joined)) throw malformedError('quoted-printable');
  const bytes = joined.replace(/=([\da-f]{2})/gi, (_escape, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return { bytes: Buffer.from(bytes, 'latin1'), rest };
};
