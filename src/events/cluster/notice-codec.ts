import { asciiJson } from '../../lib/ascii-json.ts';
import { binaryLength, restoreBinary, extractBinary } from '../../lib/binary-json.ts';
import type { BinaryPart } from '../../lib/binary-json.ts';
import { topicOfNotice } from '../bus.ts';
import type { Notice } from '../bus.ts';
import type { Topic } from '../event.ts';
import { Chunks, cutText } from './chunks.ts';

/** Limit for ephemeral items, which are split. The domain rejects signals that would exceed it. */
const MAX_CHUNKS = 200;
/** Reserved for the header of a chunk, in bytes. */
const HEADER_BYTES = 128;

export interface Encoding {
  /** Identifies the sender. */
  readonly origin: string;
  /** Differs for each notice of the sender. */
  readonly number: number;
  readonly maxBytes: number;
  /** Whether the header has the topic. Nodes of older versions do not understand it. */
  readonly withTopic: boolean;
  /** Whether the receiver is asked to confirm the delivery. */
  readonly mustConfirm?: boolean;
}

/**
 * Encodes a notice as texts of at most `maxBytes` bytes, each `<origin> <number> <index>/<count> [<topic> ]<json>`. An
 * event that does not fit is replaced by `advanced`, because receivers can read it from the log; an ephemeral item is
 * split into chunks. Returns no text if it exceeds `MAX_CHUNKS`.
 */
export function encodeNotice(notice: Notice, encoding: Encoding): string[] {
  const { origin, number, maxBytes, withTopic } = encoding;
  const topic = withTopic ? `${topicOfNotice(notice)} ` : '';
  const json = stringify(notice, encoding.mustConfirm === true);
  const single = `${origin} ${number} 0/1 ${topic}${json}`;
  if (Buffer.byteLength(single) <= maxBytes) return [single];
  if (notice.kind === 'event') {
    const { topic: of, seq } = notice.envelope;
    return encodeNotice({ kind: 'advanced', topic: of, seq }, encoding);
  }
  // In ASCII a chunk has as many bytes as characters, and may end between any two.
  const text = asciiJson(json);
  const size = maxBytes - HEADER_BYTES;
  if (text.length > MAX_CHUNKS * size) return [];
  return cutText(text, size).map(
    (chunk, index, { length: count }) => `${origin} ${number} ${index}/${count} ${topic}${chunk}`,
  );
}

/** Encodes the presence of a node, which decodes to no notice. Nodes of older versions send it without the last word. */
export const encodePresence = (origin: string): string => `${origin} here sharded`;

/** Whether the text is the presence of a node that understands only the notices of the common channel. */
export const isPresenceOfOldNode = (text: string): boolean => text.endsWith(' here');

/** Encodes that a node has delivered a notice of another one. */
export const encodeConfirmation = (number: number, nodeId: string): string => `${number} ${nodeId}`;

export function decodeConfirmation(text: string): { readonly number: number; readonly nodeId: string } {
  const [number = '', nodeId = ''] = text.split(' ');
  return { number: Number(number), nodeId };
}

/** How the JSON of a notice ends that asks for a confirmation. */
const CONFIRM_SUFFIX = ',"confirm":true}';
/** `<origin> <number> <index>/<count> `, before the topic or the JSON. */
const TEXT_HEADER = /^([0-9a-f]+) (\d+) (\d+)\/(\d+) /;
const TEXT_HEADER_WITH_TOPIC = /^([0-9a-f]+) (\d+) (\d+)\/(\d+) ([a-z]+:\d+) /;

/** A decoded notice of another node. */
export interface ReceivedNotice {
  readonly notice: Notice;
  readonly from: string;
  readonly number: number;
  readonly mustConfirm: boolean;
}

export interface DecoderOptions {
  readonly origin: string;
  readonly withTopic: boolean;
  /**
   * Notices of other topics are dropped before their JSON is parsed, unless they ask for a confirmation. Default: all are
   * decoded.
   */
  readonly isWanted?: (topic: Topic) => boolean;
}

/**
 * Creates a decoder that returns a notice with its last chunk. Undefined for incomplete chunks, chunks with a gap,
 * unwanted topics, presence, and texts of this node.
 */
export function createDecoder({
  origin,
  withTopic,
  isWanted = () => true,
}: DecoderOptions): (text: string) => ReceivedNotice | undefined {
  const chunks = new Chunks();
  const pattern = withTopic ? TEXT_HEADER_WITH_TOPIC : TEXT_HEADER;

  return (text) => {
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const [header, from = '', number = '', index = '', count = '', topic = ''] = match;
    if (from === origin) return undefined;
    if (withTopic && !text.endsWith(CONFIRM_SUFFIX) && !isWanted(topic as Topic)) return undefined;
    const body = text.slice(header.length);
    const json = chunks.join({ from, number, index: Number(index), count: Number(count), body });
    return json === undefined ? undefined : parse(json, from, number);
  };
}

/** Sent beside a notice. Nodes of older versions ignore `confirm`. */
interface NoticeExtras {
  readonly binary?: readonly BinaryPart[];
  readonly confirm?: true;
}

function stringify(notice: Notice, mustConfirm: boolean): string {
  const plain = withoutBinary(notice);
  return JSON.stringify(mustConfirm ? { ...plain, confirm: true } : plain);
}

/** Moves binary data in the content of a signal beside the notice, because JSON cannot represent it. */
function withoutBinary(notice: Notice): Notice & NoticeExtras {
  if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal') return notice;
  const { content } = notice.ephemeral;
  if (binaryLength(content) === 0) return notice;
  const binary: BinaryPart[] = [];
  return { ...notice, ephemeral: { ...notice.ephemeral, content: extractBinary(content, binary) }, binary };
}

function parse(text: string, from: string, number: string): ReceivedNotice {
  const { binary, confirm = false, ...notice } = JSON.parse(text) as Notice & NoticeExtras;
  return { notice: withBinary(notice, binary), from, number: Number(number), mustConfirm: confirm };
}

function withBinary(notice: Notice, binary: readonly BinaryPart[] | undefined): Notice {
  if (binary === undefined || notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'signal')
    return notice;
  const { content, ...signal } = notice.ephemeral;
  return { ...notice, ephemeral: { ...signal, content: restoreBinary(content, binary) } };
}
