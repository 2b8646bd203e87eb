import type { LogRange } from '../db/event-log.ts';
import { notFound } from '../errors.ts';
import { encodeCursor, expiredCursor, invalidCursor, parseCursor } from './cursor.ts';
import type { Epoch } from './cursor.ts';
import { StreamReader } from './stream-reader.ts';
import type { EventStream, StreamRequest } from './stream.ts';
import type { Tails } from './tail.ts';

export interface StreamDeps {
  readonly tails: Tails;
  readonly epoch: Readonly<Epoch>;
}

/**
 * Opens a stream of a topic: events of the log after the cursor, one `live` item, then new events, each exactly once
 * and in order. A slow reader falls back to the log when its bounded buffer overflows, and misses nothing. During an
 * outage of the database the stream waits. After an event that ends the actor's access the stream throws with the
 * reason.
 *
 * Throws NOT_FOUND for an unknown topic, CURSOR_INVALID, CURSOR_EXPIRED, and whatever `authorize` throws.
 */
export async function openStream(deps: StreamDeps, request: StreamRequest): Promise<EventStream> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // `authorize` throws the same error as for a topic the actor may not read, so that its absence is not disclosed.
    await request.authorize();
    throw notFound('The stream');
  }
  // Follows the topic before it authorises: a removal that commits in between is then either found by the check or
  // received as an event.
  const reader = new StreamReader(deps.epoch, request, tail);
  try {
    const range = await tail.readRange();
    if (range === undefined) throw notFound('The stream');
    await request.authorize();
    reader.start(range.head, request.after === null ? range.head : parseStartSeq(deps, request, range));
    return reader;
  } catch (error) {
    reader.close();
    throw error;
  }
}

function parseStartSeq(deps: StreamDeps, { topic, after }: StreamRequest, range: LogRange): number {
  const startSeq = parseCursor(deps.epoch.current, topic, after ?? '');
  if (startSeq > range.head) throw invalidCursor();
  if (startSeq < range.trimmed) throw expiredCursor(encodeCursor(deps.epoch.current, topic, range.trimmed));
  return startSeq;
}
