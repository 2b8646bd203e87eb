import { checkAccess } from './conversation-access.ts';
import type { AccessRequest } from './conversation-access.ts';
import type { Db } from './database.ts';
import { readRanges } from './event-log.ts';
import type { LogRange } from './event-log.ts';
import { areActive } from './sessions.ts';
import { findCredentials } from './passwords.ts';
import type { Credentials } from './passwords.ts';
import type { TokenCheck } from './sessions.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { ActorRef } from '../actor.ts';

/** Bounds how long one statement of the embedded database blocks the event loop. */
const MAX_BATCH_SIZE = 200;

/**
 * The reads that precede every connection and every stream, batched: after a restart thousands of clients reconnect
 * concurrently.
 */
export interface BatchedReads {
  /** Checks that the account is active and that the token is not revoked. */
  isActive(token: TokenCheck): Promise<boolean>;
  /** Undefined for an unknown e-mail. */
  findCredentials(email: string): Promise<Credentials | undefined>;
  hasAccess(actor: ActorRef, conversationId: ConversationId): Promise<boolean>;
  /** Undefined for an unknown topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
}

export function createBatchedReads(db: Db): BatchedReads {
  const tokenBatcher = createBatcher<TokenCheck, boolean>((requests) => areActive(db, requests), {
    maxBatchSize: MAX_BATCH_SIZE,
  });
  const accessBatcher = createBatcher<AccessRequest, boolean>((requests) => checkAccess(db, requests), {
    maxBatchSize: MAX_BATCH_SIZE,
  });
  const rangeBatcher = createBatcher<string, LogRange | undefined>(
    async (topics) => {
      const rangesByTopic = await readRanges(db, topics);
      return topics.map((topic) => rangesByTopic.get(topic));
    },
    { maxBatchSize: MAX_BATCH_SIZE },
  );
  const credentialsBatcher = createBatcher<string, Credentials | undefined>(
    (emails) => findCredentials(db, emails),
    { maxBatchSize: MAX_BATCH_SIZE },
  );
  return {
    findCredentials: (email) => credentialsBatcher.submit(email),
    isActive: (token) => tokenBatcher.submit(token),
    hasAccess: (actor, conversationId) => accessBatcher.submit({ actor, conversationId }),
    readRange: (topic) => rangeBatcher.submit(topic),
  };
}
