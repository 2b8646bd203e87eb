/** A decoded Socket.IO event. */
export interface LegacyEvent {
  readonly channel: string;
  readonly payload: unknown;
}

type Test = (value: unknown) => boolean;

export const isInt32: Test = (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;
const isText: Test = (value) => typeof value === 'string';
const isFlag: Test = (value) => typeof value === 'boolean';
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);
const withType = (names: string, test: Test) => names.split(' ').map((name) => [name, test] as const);

/** Field types that the apps cast to without a check (contract 8.5). */
const TYPES: ReadonlyMap<string, Test> = new Map([
  ...withType(
    'id link_id device_id conversation_id circle_id message_id circle_invite_id medias sender_id',
    isInt32,
  ),
  ...withType('identifier uploaded status event user from username password email sent time', isText),
  ...withType('filename extension', orNull(isText)),
  ...withType('isOnline is_online is_device is_writing activated received', isFlag),
  ['media_list', Array.isArray],
  // The content of a message is a text, that of a forwarded event any object.
  ['content', (value) => isText(value) || typeof value === 'object'],
]);

/** Decodes an event packet. Throws if a field is not of the type that the apps cast it to. */
export function decodeEvent(packet: string): LegacyEvent {
  const [channel, payload, ...more] = JSON.parse(packet.replace(/^42\d*/, '')) as [string, unknown];
  if (more.length > 0) throw new Error(`More than one argument: ${packet}`);
  if (channel === 'writing') requireType('device', isFlag, (payload as { device: unknown }).device);
  requireTypes(payload);
  return { channel, payload };
}

function requireTypes(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) requireType(name, TYPES.get(name), inner);
    if (name !== 'content') requireTypes(inner);
    else if (inner === null) throw new TypeError('content is null');
  }
}

function requireType(name: string, test: Test | undefined, value: unknown): void {
  if (test?.(value) === false) throw new TypeError(`${name} is ${JSON.stringify(value)}`);
}
