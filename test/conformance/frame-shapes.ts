/** Whether a value has the shape that legacy clients rely on without a check. */
type Matcher = (value: unknown) => boolean;

const isId: Matcher = (value) => isCount(value) && value !== 0;
const isCount: Matcher = (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 31;
const isText: Matcher = (value) => typeof value === 'string';
const isBoolean: Matcher = (value) => typeof value === 'boolean';
const isAnything: Matcher = () => true;
const isOneOf =
  (...values: readonly unknown[]): Matcher =>
  (value) =>
    values.includes(value);
const isNullOr =
  (matches: Matcher): Matcher =>
  (value) =>
    value === null || matches(value);
const isList =
  (matches: Matcher): Matcher =>
  (value) =>
    Array.isArray(value) && value.every(matches);
const isLike =
  (pattern: RegExp): Matcher =>
  (value) =>
    typeof value === 'string' && pattern.test(value);

/** Matches an object with exactly these keys, in this order. */
const isObject =
  (fields: Readonly<Record<string, Matcher>>): Matcher =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).join() === Object.keys(fields).join() &&
    Object.entries(value).every(([key, field]) => fields[key]?.(field) === true);

const isEitherOf =
  (...shapes: readonly Matcher[]): Matcher =>
  (value) =>
    shapes.filter((matches) => matches(value)).length === 1;

/** A date without zone, and with microseconds only if they are not zero. */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(?!000000)\d{6})?$/;
const isDate = isLike(DATE);

const isUser = isObject({
  id: isId,
  email: isText,
  first_name: isText,
  last_name: isText,
  birthday: isNullOr(isDate),
  created: isDate,
  updated: isDate,
  isOnline: isBoolean,
  type: isText,
});
const isDevice = isObject({
  id: isId,
  name: isText,
  created: isDate,
  updated: isDate,
  circle_id: isId,
  activated: isBoolean,
  username: isText,
  is_online: isBoolean,
});
const isSender = isEitherOf(isUser, isDevice);

const messageFields = { sent: isDate, read: isOneOf(null), content: isText, medias: isCount };
const isMessage = isEitherOf(
  isObject({ id: isId, link_id: isId, ...messageFields }),
  isObject({ id: isId, device_id: isId, ...messageFields }),
);

const isFile = (name: Matcher, uploaded: 'True' | 'False') =>
  isObject({ id: isId, filename: name, extension: name, identifier: isText, uploaded: isOneOf(uploaded) });
const isPendingFile = isFile(isOneOf(null), 'False');
const isUploadedFile = isFile(isText, 'True');

const doneStatus = { status: isOneOf('done') };
const isServer = isObject({ domain: isText, ip: isText, port: isId });
const isForwarded = isObject({ sender_id: isId, is_device: isBoolean, content: isAnything });

/** The payload shapes of each emitted channel (docs/legacy-channels.md#emitted-channels). */
const CHANNELS: Readonly<Record<string, Matcher>> = {
  success: isEitherOf(isText, isObject({ received: isOneOf(true), message_id: isId })),
  error: isText,
  circle: isEitherOf(
    isObject({ event: isOneOf('join', 'quit', 'connect', 'disconnect'), user: isText, circle_id: isId }),
    isObject({ event: isOneOf('kick'), user: isText, from: isText, circle_id: isId }),
    isObject({ event: isOneOf('update', 'delete'), circle_id: isId }),
    isObject({
      event: isOneOf('device'),
      type: isOneOf('update', 'connect', 'disconnect'),
      device_id: isId,
      circle_id: isId,
    }),
  ),
  circle_invite: isObject({ event: isOneOf('invite'), circle_id: isId, circle_invite_id: isId }),
  conversation: isEitherOf(
    isObject({ event: isOneOf('update', 'invite', 'promoted'), conversation_id: isId }),
    isObject({ event: isOneOf('quit'), user: isText, conversation_id: isId }),
    isObject({ event: isOneOf('kick'), user: isText, from: isText, conversation_id: isId }),
    isObject({ event: isOneOf('device'), type: isOneOf('add', 'remove'), conversation_id: isId }),
  ),
  'device created': isObject({ circle_id: isId }),
  media: isObject({ media_list: isList(isPendingFile), message_id: isId }),
  message: isEitherOf(
    isObject({
      conversation_id: isId,
      message: isMessage,
      time: isDate,
      sender: isSender,
      media_list: isList(isUploadedFile),
      ...doneStatus,
    }),
    isObject({ conversation_id: isId, message: isMessage, status: isOneOf('pending') }),
    isObject({
      conversation_id: isId,
      message: isMessage,
      sender: isSender,
      media: isUploadedFile,
      ...doneStatus,
    }),
    isObject({
      conversation_id: isId,
      message: isMessage,
      time: isDate,
      sender: isSender,
      media_list: isList(isUploadedFile),
      media: isUploadedFile,
      ...doneStatus,
    }),
    isObject({ conversation_id: isId, message_id: isId, event: isOneOf('update', 'delete') }),
  ),
  writing: isEitherOf(
    isObject({ conversation_id: isId, device: isOneOf(false), user: isText, is_writing: isBoolean }),
    isObject({ conversation_id: isId, device: isOneOf(true), is_writing: isBoolean }),
  ),
  webrtc_config: isEitherOf(
    isObject({
      username: isLike(/^\d+(\.\d+)?:\d+(True|False)$/),
      password: isLike(/^[A-Za-z0-9+/]{27}=$/),
    }),
    isList(isServer),
    isForwarded,
  ),
  webrtc_forward: isForwarded,
};

/** An integer field without an integer: apps cast it without a check, and crash. */
const NON_INTEGER = /"(?:id|\w+_id|medias|port)":(?!\d+[,}])/;
/** A null in a field that apps cast to another type without a check. */
const FORBIDDEN_NULL =
  /"(?:content|identifier|uploaded|status|event|user|from|username|password|is_?\w+|device|media_list)":null/i;

/** Returns the contract violation in a received packet; undefined if it is valid. */
export function findViolation(packet: string): string | undefined {
  if (/^(40|41|3|43\d+\[\])$/.test(packet)) return undefined;
  const frame: unknown = packet.startsWith('42') ? JSON.parse(packet.slice(2)) : undefined;
  if (!Array.isArray(frame)) return `no event: ${packet}`;
  const [channel, payload] = frame as unknown[];
  if (frame.length !== 2) return `not one argument: ${packet}`;
  if (typeof channel !== 'string' || CHANNELS[channel]?.(payload) !== true)
    return `not of the contract: ${packet}`;
  // Forwarded payloads are opaque.
  if (isForwarded(payload)) return undefined;
  if (NON_INTEGER.test(packet)) return `no integer: ${packet}`;
  return FORBIDDEN_NULL.test(packet) ? `null: ${packet}` : undefined;
}

/** Returns the contract row of an event: its keys, and the values that distinguish rows with the same keys. */
export function rowOf(packet: string): string {
  const [channel, payload] = JSON.parse(packet.slice(2)) as [string, unknown];
  return `${channel} ${describeShape(payload)}`;
}

const DISTINGUISHING_KEYS = new Set(['event', 'type', 'status', 'device', 'uploaded']);

function describeShape(value: unknown): string {
  if (Array.isArray(value)) return `[${value.slice(0, 1).map(describeShape).join()}]`;
  if (typeof value !== 'object' || value === null) return typeof value;
  const fields = Object.entries(value).map(([key, field]) => {
    if (key === 'content' && typeof field === 'object') return key;
    return DISTINGUISHING_KEYS.has(key) ? `${key}=${String(field)}` : `${key}:${describeShape(field)}`;
  });
  return `{${fields.join()}}`;
}
