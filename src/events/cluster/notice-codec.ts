import { asciiJson } from '../../lib/ascii-json.ts';
import { binaryLength, restoreBinary, takeBinary } from '../../lib/binary-json.ts';
import type { BinaryPart } from '../../lib/binary-json.ts';
import type { Notice } from '../bus.ts';

/** The longest of what must arrive whole, in pieces; the domain refuses longer ones. */
const MAX_PIECES = 200;
/** What stands before a piece. */
const HEADER = 64;

/**
 * Writes a notice as texts of at most `maxBytes` bytes. A fact that does not fit in one is replaced by the news of it,
 * as its text is in the log; what is not kept is cut into pieces. None when it is too large even for that.
 */
export function encodeNotice(origin: string, number: number, notice: Notice, maxBytes: number): string[] {
  const json = write(notice);
  const whole = `${origin} ${number} 0/1 ${json}`;
  if (Buffer.byteLength(whole) <= maxBytes) return [whole];
  if (notice.kind === 'event') {
    const { topic, seq } = notice.envelope;
    return encodeNotice(origin, number, { kind: 'advanced', topic, seq }, maxBytes);
  }
  // In ASCII a piece has as many bytes as characters, and may end anywhere.
  const text = asciiJson(json);
  const size = maxBytes - HEADER;
  const count = Math.ceil(text.length / size);
  if (count > MAX_PIECES) return [];
  return Array.from(
    { length: count },
    (_, index) => `${origin} ${number} ${index}/${count} ${text.slice(index * size, (index + 1) * size)}`,
  );
}

/** What a node says to be known: its decoding is no notice. */
export const encodePresence = (origin: string): string => `${origin} here`;

const FORM = /^([0-9a-f]+) (\d+) (\d+)\/(\d+) /;

/** Reads texts back into notices: answers one with its last piece. What came from here, and what has holes, is none. */
export function createDecoder(origin: string): (text: string) => Notice | undefined {
  // The texts of one sender come in order, so it has at most one notice that is not complete.
  const begun = new Map<string, { readonly number: string; readonly pieces: string[] }>();

  return (text) => {
    const [header = '', from = '', number = '', index = '', count = ''] = FORM.exec(text) ?? [];
    if (header === '' || from === origin) return undefined;
    const body = text.slice(header.length);
    if (count === '1') return read(body);
    if (index === '0') begun.set(from, { number, pieces: [] });
    const { number: expected, pieces } = begun.get(from) ?? { number: '', pieces: [] };
    if (expected !== number || pieces.length !== Number(index)) {
      begun.delete(from);
      return undefined;
    }
    pieces.push(body);
    if (pieces.length < Number(count)) return undefined;
    begun.delete(from);
    return read(pieces.join(''));
  };
}

/** Of a signal, which carries what clients send each other, binary data goes beside the JSON. */
function write(notice: Notice): string {
  if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal') return JSON.stringify(notice);
  const { content } = notice.ephemeral;
  if (binaryLength(content) === 0) return JSON.stringify(notice);
  const binary: BinaryPart[] = [];
  const ephemeral = { ...notice.ephemeral, content: takeBinary(content, binary) };
  return JSON.stringify({ ...notice, ephemeral, binary });
}

function read(text: string): Notice {
  const { binary, ...notice } = JSON.parse(text) as Notice & { readonly binary?: readonly BinaryPart[] };
  if (binary === undefined || notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal')
    return notice;
  const { content, ...signal } = notice.ephemeral;
  return { ...notice, ephemeral: { ...signal, content: restoreBinary(content, binary) } };
}
