/**
 * Most objects, lists and properties that a JSON text of a client may have; a text with more is not parsed. Elements of
 * lists are not limited: those of binary data, which some clients send as a list of numbers, take little memory.
 */
export const MAX_JSON_PARTS = 20_000;
/** Most levels of lists and objects in a text that is parsed for GraphQL, as in a document. */
export const MAX_JSON_DEPTH = 200;

/** Memory beside the text: of an empty object, of an element of a list, and of a string. */
const PART_BYTES = 64;
const ELEMENT_BYTES = 8;
const STRING_BYTES = 24;
/** A shorter text is not scanned: few parts fit into it. */
const MIN_SCANNED_LENGTH = 512;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export interface JsonSize {
  /** Objects, lists and properties. */
  readonly parts: number;
  readonly depth: number;
  /** Approximate memory of what is parsed beside its text: up to twenty times its length. */
  readonly overheadBytes: number;
}

/** Measures what JSON.parse would create, without parsing, up to `MAX_JSON_PARTS`. The text need not be valid. */
export function measureJson(text: string): JsonSize {
  let [parts, elements, strings, level, depth] = [0, 0, 0, 0, 0];
  const start = text.length < MIN_SCANNED_LENGTH ? text.length : 0;
  for (let index = start; index < text.length && parts <= MAX_JSON_PARTS; index += 1) {
    switch (text.charCodeAt(index)) {
      case QUOTE:
        strings += 1;
        index = endOfString(text, index + 1);
        break;
      case COMMA:
        elements += 1;
        break;
      case COLON:
        parts += 1;
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        parts += 1;
        level += 1;
        depth = Math.max(depth, level);
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        level -= 1;
        break;
    }
  }
  const overheadBytes = parts * PART_BYTES + elements * ELEMENT_BYTES + strings * STRING_BYTES;
  return { parts, depth, overheadBytes };
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
