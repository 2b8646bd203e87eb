import { readHeads } from '../db/event-log.ts';
import { encodeCursor } from '../events/cursor.ts';
import type { Topic } from '../events/event.ts';
import type { Deps } from './deps.ts';

/** The cursor of each topic's newest event: who subscribes after it gets whatever happens from now on. */
export async function eventCursors(deps: Deps, topics: readonly Topic[]): Promise<Map<Topic, string>> {
  const heads = await readHeads(deps.db, topics);
  return new Map(topics.map((topic) => [topic, encodeCursor(deps.epoch, topic, heads.get(topic) ?? 0)]));
}
