import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Topic } from './event.ts';
import { readHeads } from '../db/event-log.ts';

const MAX_CURSOR = 200;

/** A place in a topic's log, as opaque text. The same place always has the same text, whoever reads it. */
export function encodeCursor(epoch: string, topic: Topic, seq: number): string {
  return Buffer.from(`${epoch}/${topic}/${seq}`).toString('base64url');
}

/**
 * Reads the position out of a cursor of this topic. Throws CURSOR_INVALID for anything that `encodeCursor` did not
 * write for it: another topic, another database, other text.
 */
export function parseCursor(epoch: string, topic: Topic, cursor: string): number {
  const text = cursor.length <= MAX_CURSOR ? Buffer.from(cursor, 'base64url').toString() : '';
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

/** The answer to a reader whose place is no longer in the log: it must read the data again. */
export const expiredCursor = (oldest: string): DomainError =>
  new DomainError(
    'CURSOR_EXPIRED',
    'Events after this cursor are no longer kept. Read the data again and subscribe after its eventCursor.',
    { oldest },
  );

/** The cursor of each topic's newest event: who subscribes after it gets whatever happens from now on. */
export async function eventCursors(
  deps: { readonly db: Db; readonly epoch: string },
  topics: readonly Topic[],
): Promise<Map<Topic, string>> {
  const heads = await readHeads(deps.db, topics);
  return new Map(topics.map((topic) => [topic, encodeCursor(deps.epoch, topic, heads.get(topic) ?? 0)]));
}
