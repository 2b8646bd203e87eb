import { canRead } from '../db/conversations.ts';
import type { Db } from '../db/database.ts';
import { readRanges } from '../db/event-log.ts';
import type { LogRange } from '../db/event-log.ts';
import { areActive } from '../db/sessions.ts';
import type { Token } from '../db/sessions.ts';
import type { ActorRef } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { createGatherer } from './gatherer.ts';

/** The embedded database keeps the event loop for as long as it takes to answer. */
const MAX_TOGETHER = 200;

/**
 * What the database is asked for each connection and each stream before it is let in. Whoever asks at the same moment
 * is asked for together: after a restart, thousands do.
 */
export interface Admissions {
  /** Whether the account is there and active, and accepts the token. */
  isActive(token: Token): Promise<boolean>;
  /** Whether the actor takes part in the conversation. */
  canRead(actor: ActorRef, conversationId: ConversationId): Promise<boolean>;
  /** How far a topic's log reaches; undefined when there is no such topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
}

export function createAdmissions(db: Db): Admissions {
  const tokens = createGatherer<Token, boolean>((asked) => areActive(db, asked), { max: MAX_TOGETHER });
  const readers = createGatherer<Parameters<typeof canRead>[1][number], boolean>(
    (asked) => canRead(db, asked),
    { max: MAX_TOGETHER },
  );
  const ranges = createGatherer<string, LogRange | undefined>(
    async (topics) => {
      const known = await readRanges(db, topics);
      return topics.map((topic) => known.get(topic));
    },
    { max: MAX_TOGETHER },
  );
  return {
    isActive: (token) => tokens.add(token),
    canRead: (account, conversationId) => readers.add({ account, conversationId }),
    readRange: (topic) => ranges.add(topic),
  };
}
