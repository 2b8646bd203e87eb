import { binaryLength } from '../../lib/binary-json.ts';

/** What a legacy client sent on a channel: an object, empty when it sent something else or nothing. */
export type Payload = Readonly<Record<string, unknown>>;

const NOTHING: Payload = {};
/** As JSON it is several times as long, and no message has so much text. */
const MAX_BINARY = 32 * 1024;
/** In place of what nests too deep, or has too much binary data, to be a text: no message may have it. */
const UNREADABLE = '\0';

/** Reads the first argument of a legacy event. A JSON text is read too, if it holds an object. */
export function parsePayload(argument: unknown): Payload {
  if (typeof argument !== 'string') return isObject(argument) ? argument : NOTHING;
  try {
    const parsed: unknown = JSON.parse(argument);
    return isObject(parsed) ? parsed : NOTHING;
  } catch {
    return NOTHING;
  }
}

/** Whether the client sent the field. What it sent does not matter: null is present. */
export const hasField = (payload: Payload, name: string): boolean => Object.hasOwn(payload, name);

/** Reads `text_message`: anything but text is taken in its text form, null as none. */
export function parseText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  try {
    return binaryLength(value) > MAX_BINARY ? UNREADABLE : JSON.stringify(value);
  } catch {
    return UNREADABLE;
  }
}

/** Reads `files`; undefined when it is neither a list nor null. The iOS app sends a list within the list. */
export function parseFiles(value: unknown): readonly string[] | null | undefined {
  if (value === undefined || value === null) return null;
  return Array.isArray(value) ? value.map(parseFile) : undefined;
}

/** The original kept an inner list as the text of a PostgreSQL array, which the iOS app reads back as a name. */
const parseFile = (value: unknown): string =>
  Array.isArray(value) ? `{${value.map(parseText).join(',')}}` : parseText(value);

/** Reads `is_writing`. Clients of the time sent booleans, and some the text of one. */
export function parseFlag(value: unknown): boolean {
  if (typeof value === 'string') return !/^(|0|false)$/i.test(value);
  return typeof value === 'number' ? value !== 0 : value === true;
}

const isObject = (value: unknown): value is Payload =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
