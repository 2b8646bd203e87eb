// Parses the payloads of legacy events leniently, and never throws: apps send nulls, numbers and nested lists where strings,
// booleans and lists of strings are expected. Checked elsewhere: required fields in `dispatch.ts`, ids in `handlers.ts`,
// lengths in the domain.

import { binaryLength } from '../../lib/binary-json.ts';
import { MAX_JSON_PARTS, measureJson } from '../../lib/json-weight.ts';

/** The payload of a legacy event: an object, empty if the client sent none or something else. */
export type Payload = Readonly<Record<string, unknown>>;

const EMPTY_PAYLOAD: Payload = {};
/** Most binary data in a text, in bytes. Its JSON is several times as long, beyond the limit of a message's text. */
const MAX_BINARY_BYTES = 32 * 1024;
/** The text for a value that nests too deep or has too much binary data. NUL makes the message invalid. */
const INVALID_TEXT = '\0';

/** Parses the first argument of a legacy event: an object, or the JSON text of one. */
export function parsePayload(argument: unknown): Payload {
  if (typeof argument !== 'string') return isObject(argument) ? argument : EMPTY_PAYLOAD;
  if (measureJson(argument).parts > MAX_JSON_PARTS) return EMPTY_PAYLOAD;
  try {
    const parsed: unknown = JSON.parse(argument);
    return isObject(parsed) ? parsed : EMPTY_PAYLOAD;
  } catch {
    return EMPTY_PAYLOAD;
  }
}

/** Whether the field is present, whatever its value: null counts as present. */
export const hasField = (payload: Payload, name: string): boolean => Object.hasOwn(payload, name);

/** Parses `text_message`: null is the empty text, and other values become their JSON. */
export function parseText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  try {
    return binaryLength(value) > MAX_BINARY_BYTES ? INVALID_TEXT : JSON.stringify(value);
  } catch {
    return INVALID_TEXT;
  }
}

/** Parses `files`; returns undefined if it is neither a list nor null. The iOS app sends a list within the list. */
export function parseFiles(value: unknown): readonly string[] | null | undefined {
  if (value === undefined || value === null) return null;
  return Array.isArray(value) ? value.map(parseFile) : undefined;
}

/** The original Flask-SocketIO server stored an inner list as a PostgreSQL array literal, which iOS expects as the name. */
const parseFile = (value: unknown): string =>
  Array.isArray(value) ? `{${value.map(parseText).join(',')}}` : parseText(value);

/** Parses `is_writing`: legacy clients send booleans and numbers, or either as a string. */
export function parseFlag(value: unknown): boolean {
  if (typeof value === 'string') return !/^(|0|false)$/i.test(value);
  return typeof value === 'number' ? value !== 0 : value === true;
}

const isObject = (value: unknown): value is Payload =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
