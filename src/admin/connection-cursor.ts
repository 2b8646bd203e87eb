import { invalidInput } from '../errors.ts';
import type { ConnectionOrder, ConnectionPlace } from '../domain/live-connections.ts';

/** The id of a connection has at most about 60 characters. */
const MAX_CURSOR_LENGTH = 300;

/** Encodes the order, too, so that a cursor of another one is rejected. */
export const encodeConnectionCursor = (orderBy: ConnectionOrder, { value, id }: ConnectionPlace): string =>
  Buffer.from(JSON.stringify([orderBy, value, id])).toString('base64url');

/** Parses the argument `after`. Throws INVALID_INPUT. */
export function parseConnectionCursor(
  orderBy: ConnectionOrder,
  cursor: string | null | undefined,
): ConnectionPlace | undefined {
  if (typeof cursor !== 'string' || cursor === '') return undefined;
  const parsed = parseJson(Buffer.from(cursor.slice(0, MAX_CURSOR_LENGTH), 'base64url').toString());
  const [order, value, id] = Array.isArray(parsed) ? (parsed as unknown[]) : [];
  if (order !== orderBy || typeof value !== 'number' || typeof id !== 'string')
    throw invalidInput('after', 'after is not a cursor of this list in this order.');
  return { value, id };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
