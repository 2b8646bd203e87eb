import { asciiJson } from '../../lib/ascii-json.ts';
import { binaryLength, restoreBinary, extractBinary } from '../../lib/binary-json.ts';
import type { BinaryPart } from '../../lib/binary-json.ts';
import type { Notice } from '../bus.ts';

/** Limit for ephemeral items, which are split. The domain rejects signals that would exceed it. */
const MAX_CHUNKS = 200;
/** Reserved for the header of a chunk, in bytes. */
const HEADER_BYTES = 64;

/**
 * Encodes a notice as texts of at most `maxBytes` bytes, each `<origin> <number> <index>/<count> <json>`. An event that
 * does not fit is replaced by `advanced`, because receivers can read it from the log; an ephemeral item is split into
 * chunks. Returns no text if it exceeds `MAX_CHUNKS`.
 */
export function encodeNotice(origin: string, number: number, notice: Notice, maxBytes: number): string[] {
  const json = stringify(notice);
  const single = `${origin} ${number} 0/1 ${json}`;
  if (Buffer.byteLength(single) <= maxBytes) return [single];
  if (notice.kind === 'event') {
    const { topic, seq } = notice.envelope;
    return encodeNotice(origin, number, { kind: 'advanced', topic, seq }, maxBytes);
  }
  // In ASCII a chunk has as many bytes as characters, and may end between any two.
  const text = asciiJson(json);
  const size = maxBytes - HEADER_BYTES;
  const count = Math.ceil(text.length / size);
  if (count > MAX_CHUNKS) return [];
  return Array.from(
    { length: count },
    (_, index) => `${origin} ${number} ${index}/${count} ${text.slice(index * size, (index + 1) * size)}`,
  );
}

/** Encodes the presence of a node, which decodes to no notice. */
export const encodePresence = (origin: string): string => `${origin} here`;

/** `<origin> <number> <index>/<count> `, before the JSON. */
const TEXT_HEADER = /^([0-9a-f]+) (\d+) (\d+)\/(\d+) /;

/**
 * Creates a decoder that returns a notice with its last chunk. Undefined for incomplete chunks, chunks with a gap,
 * presence, and texts of this node.
 */
export function createDecoder(origin: string): (text: string) => Notice | undefined {
  // Texts of one sender arrive in order, so at most one notice of each sender is incomplete.
  const partial = new Map<string, { readonly number: string; readonly chunks: string[] }>();

  return (text) => {
    const [header = '', from = '', number = '', index = '', count = ''] = TEXT_HEADER.exec(text) ?? [];
    if (header === '' || from === origin) return undefined;
    const body = text.slice(header.length);
    if (count === '1') return parse(body);
    if (index === '0') partial.set(from, { number, chunks: [] });
    const { number: expected, chunks } = partial.get(from) ?? { number: '', chunks: [] };
    if (expected !== number || chunks.length !== Number(index)) {
      partial.delete(from);
      return undefined;
    }
    chunks.push(body);
    if (chunks.length < Number(count)) return undefined;
    partial.delete(from);
    return parse(chunks.join(''));
  };
}

/** Serialises a notice. Binary data in the content of a signal is sent separately, because JSON cannot represent it. */
function stringify(notice: Notice): string {
  if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal') return JSON.stringify(notice);
  const { content } = notice.ephemeral;
  if (binaryLength(content) === 0) return JSON.stringify(notice);
  const binary: BinaryPart[] = [];
  const ephemeral = { ...notice.ephemeral, content: extractBinary(content, binary) };
  return JSON.stringify({ ...notice, ephemeral, binary });
}

function parse(text: string): Notice {
  const { binary, ...notice } = JSON.parse(text) as Notice & { readonly binary?: readonly BinaryPart[] };
  if (binary === undefined || notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal')
    return notice;
  const { content, ...signal } = notice.ephemeral;
  return { ...notice, ephemeral: { ...signal, content: restoreBinary(content, binary) } };
}
