/** Fits any file name in any encoding; the rest of a longer header is ignored. */
const MAX_DISPOSITION_LENGTH = 16 * 1024;

/** One parameter. Sticky, so that parsing is linear in the length of the header. */
const PARAMETER = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"?|([^;]*))/y;
const EXTENDED = /^([\w-]+)'[^';"]*'([^;"\s]*)/;
const ENCODED_WORD = /=\?([\w-]+)(?:\*[\w-]+)?\?([bq])\?([^?\s]*)\?=(?:\s+(?==\?))?/gi;

/**
 * Parses the file name of a part's `Content-Disposition`, a latin1 string of its bytes; returns '' without a name.
 * Replaces Busboy's own parser (3.2.6), which prefers `filename` to `filename*` and decodes all bytes as UTF-8.
 *
 * Clients encode it in many ways: `filename*` of RFC 8187 (requests, Spring), raw UTF-8 with the escapes of WHATWG
 * (browsers, OkHttp, Dart, curl since 7.81) or with backslashes (curl before), raw latin1 (Apache HttpClient),
 * percent-encoded (aiohttp), encoded words of RFC 2047 (Spring, JavaMail).
 */
export function readFilename(disposition: string): string {
  const parameters = readParameters(disposition.slice(0, MAX_DISPOSITION_LENGTH));
  // Some clients quote it, which RFC 8187 forbids.
  const { quoted: quotedExtended, bare: bareExtended = '' } = parameters.get('filename*') ?? {};
  const extended = EXTENDED.exec(quotedExtended ?? bareExtended);
  const named = extended && decodeBytes(unescapePercent(extended[2] ?? ''), extended[1] ?? '');
  if (named !== null && named !== undefined && named !== '') return named;
  const { quoted, bare = '' } = parameters.get('filename') ?? {};
  // Only `\"` and `\\` are escapes: other backslashes separate the parts of a Windows path.
  const raw = quoted?.replace(/\\(["\\])/g, '$1') ?? bare.trim();
  const text = decodeBytes(raw, 'utf-8') ?? decodeBytes(raw, 'windows-1252') ?? raw;
  return decodeForm(decodeWords(text));
}

interface Parameter {
  readonly quoted?: string | undefined;
  readonly bare?: string | undefined;
}

/** Returns parameters by lower-case name. Of duplicates, the first counts. */
function readParameters(header: string): ReadonlyMap<string, Parameter> {
  const parameters = new Map<string, Parameter>();
  const pattern = new RegExp(PARAMETER);
  for (let at = header.indexOf(';'); at >= 0; at = header.indexOf(';', Math.max(at + 1, pattern.lastIndex))) {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    const [, name = '', quoted, bare] = match ?? [];
    if (match !== null && !parameters.has(name.toLowerCase()))
      parameters.set(name.toLowerCase(), { quoted, bare });
  }
  return parameters;
}

/** Decodes the three escapes of WHATWG forms; percent-encoding in general only if it yields non-ASCII text. */
function decodeForm(name: string): string {
  const whole = /^[\x21-\x7e]*$/.test(name) ? decodeBytes(unescapePercent(name), 'utf-8') : undefined;
  if (whole !== undefined && /[^\0-\x7f]/.test(whole)) return whole;
  return name.replace(/%22|%0d|%0a/gi, unescapePercent);
}

const decodeWords = (name: string): string =>
  name.replace(ENCODED_WORD, (word, charset: string, kind: string, text: string) => {
    const bytes =
      kind.toLowerCase() === 'b'
        ? Buffer.from(text, 'base64').toString('latin1')
        : text
            .replaceAll('_', ' ')
            .replace(/=([\da-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    return decodeBytes(bytes, charset) ?? word;
  });

const unescapePercent = (text: string): string =>
  text.replace(/%([\da-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(parseInt(hex, 16)));

/** Decodes bytes, a latin1 string. Returns undefined if they are malformed or the charset is unknown. */
function decodeBytes(bytes: string, charset: string): string | undefined {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}
