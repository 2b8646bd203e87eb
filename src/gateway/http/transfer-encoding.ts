import { pipeline, Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import { invalidInput } from '../../errors.ts';

/** RFC 2045 ends lines after 76 characters; blanks after an `=` at the end of one may be added on the way. */
const MAX_CARRIED = 1_000;

/** Decodes what is complete of the text so far, and returns the rest, which is passed again with what follows. */
type Decode = (text: string, isLast: boolean) => { readonly bytes: Buffer; readonly rest: string };

/**
 * The content of a part whose `Content-Transfer-Encoding` is given, decoded while it arrives. RFC 7578 has no use for
 * that header, but clients of mail libraries send it. Throws INVALID_INPUT for an encoding that nobody sends.
 */
export function decodeTransfer(content: Readable, encoding: string): Readable {
  const decode = decoderOf(encoding);
  if (decode === undefined) return content;
  // Whoever reads the decoded content is told of a failure; here there is nothing to do about it.
  return pipeline(content, createDecoding(decode), () => undefined);
}

/** The same of a field, which is there as a whole. */
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
  const take = (text: string, isLast: boolean): Buffer => {
    const decoded = decode(rest + text, isLast);
    rest = decoded.rest;
    return decoded.bytes;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      attempt(() => take(chunk.toString('latin1'), false), done);
    },
    flush(done) {
      attempt(() => take('', true), done);
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

const malformed = (encoding: string) => invalidInput('file', `The ${encoding} of a part is malformed.`);

const decodeBase64: Decode = (text, isLast) => {
  const digits = text.replace(/\s+/g, '');
  if (!/^[A-Za-z\d+/]*={0,2}$/.test(digits)) throw malformed('base64');
  const length = isLast ? digits.length : digits.length - (digits.length % 4);
  if (isLast && digits.replace(/=+$/, '').length % 4 === 1) throw malformed('base64');
  // What is padded is at its end: nothing may follow.
  if (!isLast && digits.includes('=') && length === digits.length)
    return { bytes: Buffer.alloc(0), rest: digits };
  return { bytes: Buffer.from(digits.slice(0, length), 'base64'), rest: digits.slice(length) };
};

const decodeQuotedPrintable: Decode = (text, isLast) => {
  const cut = isLast ? text.length : text.search(/=(?:[\da-f]|[\t ]*\r?)?$/i);
  const whole = cut < 0 ? text : text.slice(0, cut);
  const rest = cut < 0 ? '' : text.slice(cut);
  if (rest.length > MAX_CARRIED) throw malformed('quoted-printable');
  const joined = whole.replace(/=[\t ]*(?:\r?\n|$)/g, '');
  if (/=(?![\da-f]{2})/i.test(joined)) throw malformed('quoted-printable');
  const bytes = joined.replace(/=([\da-f]{2})/gi, (_escape, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return { bytes: Buffer.from(bytes, 'latin1'), rest };
};
