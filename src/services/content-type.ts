import { fileTypeFromBuffer } from 'file-type';

/** Most bytes from the start of a file that are needed to detect its type. */
export const SNIFFED_BYTES = 4100;
const UNKNOWN_TYPE = 'application/octet-stream';
const TEXT_TYPE = 'text/plain';

/** Types that file-type recognises by their markup: served as the text that they are, as browsers run scripts in them. */
const MARKUP_TYPES = /\b(html|xml)\b/;
/** Bytes that occur in no text (WHATWG MIME Sniffing, "binary data byte"). */
// eslint-disable-next-line no-control-regex -- they are what it is about
const BINARY_BYTES = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f]/;
const UTF_16_MARKS = /^(?:fffe|feff)/;
/** An SVG image begins with its root element or document type, after a declaration and comments. */
const SVG = /^\ufeff?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->)[^])*-->\s*)*<(?:!doctype\s+)?svg[\s>]/i;

/**
 * Detects the media type of a file from its first bytes. The result is safe to serve with `nosniff`: HTML and XML are
 * `text/plain`, and SVG, which browsers show in `<img>` without its scripts, must be served with a policy that forbids them.
 */
export async function detectContentType(head: Buffer): Promise<string> {
  // file-type throws on some truncated files.
  const type = await fileTypeFromBuffer(head).catch(() => undefined);
  if (type !== undefined && !MARKUP_TYPES.test(type.mime)) return type.mime;
  return head.length === 0 ? UNKNOWN_TYPE : detectTextType(head);
}

function detectTextType(head: Buffer): string {
  if (UTF_16_MARKS.test(head.toString('hex', 0, 2))) return `${TEXT_TYPE}; charset=utf-16`;
  if (BINARY_BYTES.test(head.toString('latin1'))) return UNKNOWN_TYPE;
  const text = decodeUtf8(head);
  if (text === undefined) return TEXT_TYPE;
  return SVG.test(text) ? 'image/svg+xml' : `${TEXT_TYPE}; charset=utf-8`;
}

/** Returns undefined unless the bytes are the start of a text in UTF-8, which may be cut within a character. */
function decodeUtf8(head: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(head, {
      stream: head.length === SNIFFED_BYTES,
    });
  } catch {
    return undefined;
  }
}
