import type { Db } from '../db/database.ts';
import { findAccesses } from '../db/conversation-access.ts';
import { notFound } from '../errors.ts';
import { conversationTopic } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import { createTypingExpiry } from './typing-expiry.ts';
import type { Typing, TypingExpiry, TypingExpiryOptions } from './typing-expiry.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

const MAX_TOGETHER = 1_000;
const MAX_WAITING = 10_000;

/** What an account says of itself. */
interface TypingUpdate {
  readonly account: ActorRef;
  readonly conversationId: ConversationId;
  readonly isTyping: boolean;
}

/** Tells who is typing: signs that come at the same moment are looked up together. */
export interface TypingPublisher extends Pick<TypingExpiry, 'end' | 'received'>, Disposable {
  /** Of those that one account gives in one conversation meanwhile, only the newest is told. Throws NOT_FOUND, RATE_LIMITED. */
  set(sign: TypingUpdate): Promise<void>;
}

export interface TypingPublisherOptions extends TypingExpiryOptions {
  readonly db: Db;
}

export function createTypingPublisher({ db, ...options }: TypingPublisherOptions): TypingPublisher {
  const { bus } = options;
  const ends = createTypingExpiry(options);
  const batcher = createBatcher<TypingUpdate, boolean>(
    async (signs) => {
      const accesses = await findAccesses(db, signs);
      const newest = new Map<string, Typing>();
      for (const [place, { account, conversationId, isTyping }] of signs.entries()) {
        const access = accesses[place];
        if (access === undefined) continue;
        const topic = conversationTopic(conversationId);
        const key = `${actorKey(account)} ${topic}`;
        // The newest stands where it was given.
        newest.delete(key);
        newest.set(key, { type: 'typing', topic, actor: access.actor, isTyping });
      }
      bus.publish([...newest.values()].map((ephemeral) => ({ kind: 'ephemeral', ephemeral })));
      for (const typing of newest.values()) ends.published(typing);
      return accesses.map((access) => access !== undefined);
    },
    { maxBatchSize: MAX_TOGETHER, maxQueuedSize: MAX_WAITING },
  );
  return {
    ...ends,
    async set(sign) {
      if (!(await batcher.load(sign))) throw notFound('The conversation');
    },
  };
}
