import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Topic } from './event.ts';
import { readHeads } from '../db/event-log.ts';

const MAX_CURSOR_LENGTH = 200;

/** Identifies the log in cursors. The comparison with the log replaces it when the database was restored. */
export interface Epoch {
  current: string;
}

/** Encodes a position in a topic's log as opaque text. Deterministic: the same for every reader. */
export function encodeCursor(epoch: string, topic: Topic, seq: number): string {
  return Buffer.from(`${epoch}/${topic}/${seq}`).toString('base64url');
}

/**
 * Returns the position that a cursor of this topic encodes. Throws CURSOR_INVALID for a cursor of another topic or
 * another database, and for any other text.
 */
export function parseCursor(epoch: string, topic: Topic, cursor: string): number {
  const text = cursor.length <= MAX_CURSOR_LENGTH ? Buffer.from(cursor, 'base64url').toString() : '';
  const seq = Number(text.slice(text.lastIndexOf('/') + 1));
  if (!Number.isSafeInteger(seq) || seq < 0 || encodeCursor(epoch, topic, seq) !== cursor)
    throw invalidCursor();
  return seq;
}

export const invalidCursor = (): DomainError =>
  new DomainError(
    'CURSOR_INVALID',
    'The cursor is not one of this stream. Read the data again and subscribe after its eventCursor.',
  );

/** The error for a reader whose position was trimmed from the log. */
export const expiredCursor = (oldest: string): DomainError =>
  new DomainError(
    'CURSOR_EXPIRED',
    'Events after this cursor were trimmed from the log. Read the data again and subscribe after its eventCursor.',
    { oldest },
  );

/**
 * Returns the cursor of each topic's newest event: a subscription after it receives everything that is committed later.
 */
export async function eventCursors(
  deps: { readonly db: Db; readonly epoch: Readonly<Epoch> },
  topics: readonly Topic[],
): Promise<Map<Topic, string>> {
  const heads = await readHeads(deps.db, topics);
  return new Map(
    topics.map((topic) => [topic, encodeCursor(deps.epoch.current, topic, heads.get(topic) ?? 0)]),
  );
}
