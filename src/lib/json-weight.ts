/** Most values that a JSON text of a client may have; a text with more is not parsed. */
export const MAX_JSON_VALUES = 20_000;
/** Most levels of lists and objects in a text that is parsed for GraphQL, as in a document. */
export const MAX_JSON_DEPTH = 200;

/** Memory of a parsed value beside its text: that of an empty object. */
const VALUE_BYTES = 64;
/** A shorter text is not scanned: few values fit into it. */
const MIN_SCANNED_LENGTH = 512;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export interface JsonSize {
  readonly values: number;
  readonly depth: number;
  /** Approximate memory of the parsed values beside their text: up to twenty times its length. */
  readonly overheadBytes: number;
}

/** Measures what JSON.parse would create, without parsing, up to `MAX_JSON_VALUES`. The text need not be valid. */
export function measureJson(text: string): JsonSize {
  let [values, level, depth] = [1, 0, 0];
  const start = text.length < MIN_SCANNED_LENGTH ? text.length : 0;
  for (let index = start; index < text.length && values <= MAX_JSON_VALUES; index += 1) {
    switch (text.charCodeAt(index)) {
      case QUOTE:
        index = endOfString(text, index + 1);
        break;
      case COMMA:
        values += 1;
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        values += 1;
        level += 1;
        depth = Math.max(depth, level);
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        level -= 1;
        break;
    }
  }
  return { values, depth, overheadBytes: (values - 1) * VALUE_BYTES };
}

/** Returns the index of the quote that ends a string. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
