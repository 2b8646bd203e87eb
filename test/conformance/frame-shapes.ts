/** Whether a value has the type to which legacy clients cast it without a check. */
type Fits = (value: unknown) => boolean;

const isId: Fits = (value) => isCount(value) && value !== 0;
const isCount: Fits = (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 31;
const isText: Fits = (value) => typeof value === 'string';
const isFlag: Fits = (value) => typeof value === 'boolean';
const isAnything: Fits = () => true;
const isOneOf =
  (...values: readonly unknown[]): Fits =>
  (value) =>
    values.includes(value);
const orNull =
  (fits: Fits): Fits =>
  (value) =>
    value === null || fits(value);
const isList =
  (fits: Fits): Fits =>
  (value) =>
    Array.isArray(value) && value.every(fits);
const isLike =
  (pattern: RegExp): Fits =>
  (value) =>
    typeof value === 'string' && pattern.test(value);

/** An object with these keys, in this order, and no others. */
const has =
  (fields: Readonly<Record<string, Fits>>): Fits =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).join() === Object.keys(fields).join() &&
    Object.entries(value).every(([key, field]) => fields[key]?.(field) === true);

const eitherOf =
  (...shapes: readonly Fits[]): Fits =>
  (value) =>
    shapes.filter((fits) => fits(value)).length === 1;

/** Contract 1.3: no zone, and microseconds only where they are not zero. */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(?!000000)\d{6})?$/;
const isDate = isLike(DATE);

const user = has({
  id: isId,
  email: isText,
  first_name: isText,
  last_name: isText,
  birthday: orNull(isDate),
  created: isDate,
  updated: isDate,
  isOnline: isFlag,
  type: isText,
});
const device = has({
  id: isId,
  name: isText,
  created: isDate,
  updated: isDate,
  circle_id: isId,
  activated: isFlag,
  username: isText,
  is_online: isFlag,
});
const sender = eitherOf(user, device);

const rest = { sent: isDate, read: isOneOf(null), content: isText, medias: isCount };
const message = eitherOf(
  has({ id: isId, link_id: isId, ...rest }),
  has({ id: isId, device_id: isId, ...rest }),
);

const fileOf = (name: Fits, uploaded: 'True' | 'False') =>
  has({ id: isId, filename: name, extension: name, identifier: isText, uploaded: isOneOf(uploaded) });
const expected = fileOf(isOneOf(null), 'False');
const arrived = fileOf(isText, 'True');

const done = { status: isOneOf('done') };
const server = has({ domain: isText, ip: isText, port: isId });
const forwarded = has({ sender_id: isId, is_device: isFlag, content: isAnything });

/** The payloads of each emitted channel: one of the shapes of sections 2 and 3 of the contract. */
const CHANNELS: Readonly<Record<string, Fits>> = {
  success: eitherOf(isText, has({ received: isOneOf(true), message_id: isId })),
  error: isText,
  circle: eitherOf(
    has({ event: isOneOf('join', 'quit', 'connect', 'disconnect'), user: isText, circle_id: isId }),
    has({ event: isOneOf('kick'), user: isText, from: isText, circle_id: isId }),
    has({ event: isOneOf('update', 'delete'), circle_id: isId }),
    has({
      event: isOneOf('device'),
      type: isOneOf('update', 'connect', 'disconnect'),
      device_id: isId,
      circle_id: isId,
    }),
  ),
  circle_invite: has({ event: isOneOf('invite'), circle_id: isId, circle_invite_id: isId }),
  conversation: eitherOf(
    has({ event: isOneOf('update', 'invite', 'promoted'), conversation_id: isId }),
    has({ event: isOneOf('quit'), user: isText, conversation_id: isId }),
    has({ event: isOneOf('kick'), user: isText, from: isText, conversation_id: isId }),
    has({ event: isOneOf('device'), type: isOneOf('add', 'remove'), conversation_id: isId }),
  ),
  'device created': has({ circle_id: isId }),
  media: has({ media_list: isList(expected), message_id: isId }),
  message: eitherOf(
    has({ conversation_id: isId, message, time: isDate, sender, media_list: isList(arrived), ...done }),
    has({ conversation_id: isId, message, status: isOneOf('pending') }),
    has({ conversation_id: isId, message, sender, media: arrived, ...done }),
    has({
      conversation_id: isId,
      message,
      time: isDate,
      sender,
      media_list: isList(arrived),
      media: arrived,
      ...done,
    }),
    has({ conversation_id: isId, message_id: isId, event: isOneOf('update', 'delete') }),
  ),
  writing: eitherOf(
    has({ conversation_id: isId, device: isOneOf(false), user: isText, is_writing: isFlag }),
    has({ conversation_id: isId, device: isOneOf(true), is_writing: isFlag }),
  ),
  webrtc_config: eitherOf(
    has({
      username: isLike(/^\d+(\.\d+)?:\d+(True|False)$/),
      password: isLike(/^[A-Za-z0-9+/]{27}=$/),
    }),
    isList(server),
    forwarded,
  ),
  webrtc_forward: forwarded,
};

/** Contract 8.5: an integer field with another value. */
const NO_INTEGER = /"(?:id|\w+_id|medias|port)":(?!\d+[,}])/;
/** The same section: a field that must not be null. */
const NULL =
  /"(?:content|identifier|uploaded|status|event|user|from|username|password|is_?\w+|device|media_list)":null/i;

/** Returns the contract violation in a received packet; undefined if it is valid. */
export function faultOf(packet: string): string | undefined {
  if (/^(40|41|3|43\d+\[\])$/.test(packet)) return undefined;
  const parsed: unknown = packet.startsWith('42') ? JSON.parse(packet.slice(2)) : undefined;
  if (!Array.isArray(parsed)) return `no event: ${packet}`;
  const [channel, payload] = parsed as unknown[];
  if (parsed.length !== 2) return `not one argument: ${packet}`;
  if (typeof channel !== 'string' || CHANNELS[channel]?.(payload) !== true)
    return `not of the contract: ${packet}`;
  // Forwarded payloads are opaque.
  if (forwarded(payload)) return undefined;
  if (NO_INTEGER.test(packet)) return `no integer: ${packet}`;
  return NULL.test(packet) ? `null: ${packet}` : undefined;
}

/** Which row of the contract an event is of: its keys, and the words that tell rows of the same keys apart. */
export function rowOf(packet: string): string {
  const [channel, payload] = JSON.parse(packet.slice(2)) as [string, unknown];
  return `${channel} ${skeleton(payload)}`;
}

const WORDS = new Set(['event', 'type', 'status', 'device', 'uploaded']);

function skeleton(value: unknown): string {
  if (Array.isArray(value)) return `[${value.slice(0, 1).map(skeleton).join()}]`;
  if (typeof value !== 'object' || value === null) return typeof value;
  const fields = Object.entries(value).map(([key, field]) => {
    if (key === 'content' && typeof field === 'object') return key;
    return WORDS.has(key) ? `${key}=${String(field)}` : `${key}:${skeleton(field)}`;
  });
  return `{${fields.join()}}`;
}
