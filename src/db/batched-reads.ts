import { haveAccess } from './conversation-access.ts';
import type { AccessRequest } from './conversation-access.ts';
import type { Db } from './database.ts';
import { readRanges } from './event-log.ts';
import type { LogRange } from './event-log.ts';
import { areActive } from './sessions.ts';
import type { Token } from './sessions.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { ActorRef } from '../actor.ts';

/** The embedded database keeps the event loop for as long as it takes to answer. */
const MAX_TOGETHER = 200;

/**
 * What the database is asked for each connection and each stream before it is let in. Whoever asks at the same moment
 * is asked for together: after a restart, thousands do.
 */
export interface BatchedReads {
  /** Whether the account is there and active, and accepts the token. */
  isActive(token: Token): Promise<boolean>;
  /** Whether the actor takes part in the conversation. */
  hasAccess(actor: ActorRef, conversationId: ConversationId): Promise<boolean>;
  /** How far a topic's log reaches; undefined when there is no such topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
}

export function createBatchedReads(db: Db): BatchedReads {
  const tokens = createBatcher<Token, boolean>((asked) => areActive(db, asked), {
    maxBatchSize: MAX_TOGETHER,
  });
  const readers = createBatcher<AccessRequest, boolean>((requests) => haveAccess(db, requests), {
    maxBatchSize: MAX_TOGETHER,
  });
  const ranges = createBatcher<string, LogRange | undefined>(
    async (topics) => {
      const known = await readRanges(db, topics);
      return topics.map((topic) => known.get(topic));
    },
    { maxBatchSize: MAX_TOGETHER },
  );
  return {
    isActive: (token) => tokens.load(token),
    hasAccess: (account, conversationId) => readers.load({ account, conversationId }),
    readRange: (topic) => ranges.load(topic),
  };
}
