import { haveAccess } from './conversation-access.ts';
import type { AccessRequest } from './conversation-access.ts';
import type { Db } from './database.ts';
import { readRanges } from './event-log.ts';
import type { LogRange } from './event-log.ts';
import { areActive } from './sessions.ts';
import type { TokenCheck } from './sessions.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { ActorRef } from '../actor.ts';

/** Bounds how long one statement of the embedded database blocks the event loop. */
const MAX_BATCH = 200;

/**
 * The reads that precede every connection and every stream, batched: after a restart thousands of clients reconnect
 * concurrently.
 */
export interface BatchedReads {
  /** Checks that the account is active and that the token is not revoked. */
  isActive(token: TokenCheck): Promise<boolean>;
  hasAccess(actor: ActorRef, conversationId: ConversationId): Promise<boolean>;
  /** Undefined for an unknown topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
}

export function createBatchedReads(db: Db): BatchedReads {
  const tokens = createBatcher<TokenCheck, boolean>((requests) => areActive(db, requests), {
    maxBatchSize: MAX_BATCH,
  });
  const readers = createBatcher<AccessRequest, boolean>((requests) => haveAccess(db, requests), {
    maxBatchSize: MAX_BATCH,
  });
  const ranges = createBatcher<string, LogRange | undefined>(
    async (topics) => {
      const known = await readRanges(db, topics);
      return topics.map((topic) => known.get(topic));
    },
    { maxBatchSize: MAX_BATCH },
  );
  return {
    isActive: (token) => tokens.load(token),
    hasAccess: (account, conversationId) => readers.load({ account, conversationId }),
    readRange: (topic) => ranges.load(topic),
  };
}
