/** Fits what any file system takes, encoded in any way: a longer header is not looked at further. */
const MAX_DISPOSITION = 16 * 1024;

/** One parameter: sticky, so that a header takes no longer than it is long, whatever stands in it. */
const PARAMETER = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"?|([^;]*))/y;
const EXTENDED = /^([\w-]+)'[^';"]*'([^;"\s]*)/;
const ENCODED_WORD = /=\?([\w-]+)(?:\*[\w-]+)?\?([bq])\?([^?\s]*)\?=(?:\s+(?==\?))?/gi;

/**
 * Reads the file's name out of a part's `Content-Disposition`, given as latin1 text of its bytes. Busboy itself prefers
 * `filename` to `filename*`, and reads all bytes as UTF-8. Empty when there is no name.
 *
 * Clients write it in many ways: `filename*` of RFC 8187 (requests, Spring), raw UTF-8 with the escapes of WHATWG
 * (browsers, OkHttp, Dart, curl since 7.81) or with backslashes (curl before), raw latin1 (Apache HttpClient),
 * percent-encoded (aiohttp), encoded words of RFC 2047 (Spring, JavaMail).
 */
export function readFilename(disposition: string): string {
  const parameters = readParameters(disposition.slice(0, MAX_DISPOSITION));
  // Some clients quote it, although it must not be.
  const { quoted: quotedExtended, bare: bareExtended = '' } = parameters.get('filename*') ?? {};
  const extended = EXTENDED.exec(quotedExtended ?? bareExtended);
  const named = extended && decodeBytes(unescapePercent(extended[2] ?? ''), extended[1] ?? '');
  if (named !== null && named !== undefined && named !== '') return named;
  const { quoted, bare = '' } = parameters.get('filename') ?? {};
  // Only a quote and a backslash are escaped: others stand before the parts of a path of Windows.
  const raw = quoted?.replace(/\\(["\\])/g, '$1') ?? bare.trim();
  const text = decodeBytes(raw, 'utf-8') ?? decodeBytes(raw, 'windows-1252') ?? raw;
  return decodeForm(decodeWords(text));
}

interface Parameter {
  readonly quoted?: string | undefined;
  readonly bare?: string | undefined;
}

/** The parameters of a header by their names in lower case; of two with one name, the first. */
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

/** The escapes of WHATWG, of which there are three; all others only where they hide letters beyond ASCII. */
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

/** Undefined when the bytes, given as latin1 text, are not of that character set, or none is called so. */
function decodeBytes(bytes: string, charset: string): string | undefined {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}
