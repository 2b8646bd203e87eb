import { isInt32, decodeEvent } from './legacy-types.ts';
import type { PacketConnection } from './packet-connection.ts';

// Decodes received events with the casts of the Android app. A failed cast crashes the app.

/** Casts a field as Java does. Throws for another type. The app catches the exception for a missing key. */
export function castField<Value>(
  object: Record<string, unknown>,
  key: string,
  test: (value: unknown) => boolean,
): Value {
  if (!test(object[key])) throw new TypeError(`ClassCastException: ${key} is ${JSON.stringify(object[key])}`);
  return object[key] as Value;
}
const isText = (value: unknown) => typeof value === 'string';
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

interface MessageBubble {
  readonly id: number;
  readonly linkId: number;
  readonly medias: number;
  readonly content: string;
}

/** Returns the chat bubble that the app shows for an event on `message`; undefined if a field is missing. */
function decodeBubble(packet: string): MessageBubble | undefined {
  const { channel, payload } = decodeEvent(packet);
  if (channel !== 'message') throw new Error(`Not on message: ${packet}`);
  if (!isObject(payload)) throw new TypeError('ClassCastException: the argument');
  const frame = payload as Record<string, unknown>;
  if (!('message' in frame)) return undefined;
  const message = castField<Record<string, unknown>>(frame, 'message', isObject);
  if (['medias', 'link_id', 'id', 'content'].some((key) => !(key in message))) return undefined;
  return {
    medias: castField(message, 'medias', isInt32),
    linkId: castField(message, 'link_id', isInt32),
    id: castField(message, 'id', isInt32),
    content: castField(message, 'content', isText),
  };
}

export const readMessageBubble = async (connection: PacketConnection) =>
  decodeBubble(await connection.next('42["message"'));

/** Reads the credentials of the next event on `webrtc_config`; undefined if it has none. */
export async function readTurnCredentials(
  connection: PacketConnection,
): Promise<{ username: string; password: string } | undefined> {
  const { payload } = decodeEvent(await connection.next('42["webrtc_config"'));
  if (!isObject(payload)) throw new TypeError('ClassCastException: the argument');
  const config = payload as Record<string, unknown>;
  if (!('username' in config)) return undefined;
  return { username: castField(config, 'username', isText), password: castField(config, 'password', isText) };
}

/** Reads the sender and the `message` of the next forwarded event. */
export async function readForward(connection: PacketConnection): Promise<{ from: number; message: unknown }> {
  const { payload } = decodeEvent(await connection.next('42["webrtc_forward"'));
  const frame = payload as { sender_id: number; content: Record<string, unknown> };
  return { from: frame.sender_id, message: frame.content['message'] };
}
