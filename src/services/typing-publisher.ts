import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import { findActorsWithAccess } from '../db/conversation-access.ts';
import type { Db } from '../db/database.ts';
import { notFound } from '../errors.ts';
import type { Bus } from '../events/bus.ts';
import { conversationTopic } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { ReportRefusal } from './refusals.ts';
import { createTypingExpiry } from './typing-expiry.ts';
import type { Typing, TypingExpiry } from './typing-expiry.ts';

const MAX_BATCH_SIZE = 1_000;
const MAX_QUEUED_UPDATES = 10_000;

interface TypingUpdate {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
  readonly isTyping: boolean;
}

/** Publishes typing. Concurrent updates share one access check. */
export interface TypingPublisher extends Pick<TypingExpiry, 'endAll' | 'onReceived'>, Disposable {
  /**
   * Publishes an update; of several queued by one actor in one conversation, only the newest. Throws NOT_FOUND
   * without access to the conversation, RATE_LIMITED when the queue is full.
   */
  set(update: TypingUpdate): Promise<void>;
}

export interface TypingPublisherOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly reportRefusal?: ReportRefusal | undefined;
}

export function createTypingPublisher({ db, bus, reportRefusal }: TypingPublisherOptions): TypingPublisher {
  const expiry = createTypingExpiry({ bus });
  const batcher = createBatcher<TypingUpdate, boolean>(
    async (updates) => {
      const accesses = await findActorsWithAccess(db, updates);
      const newest = new Map<string, Typing>();
      for (const [index, { actor, conversationId, isTyping }] of updates.entries()) {
        const access = accesses[index];
        if (access === undefined) continue;
        const topic = conversationTopic(conversationId);
        const key = `${actorKey(actor)} ${topic}`;
        // Deleted first: a Map would keep the position of the older update.
        newest.delete(key);
        newest.set(key, { type: 'typing', topic, actor: access.actor, isTyping });
      }
      bus.publish([...newest.values()].map((ephemeral) => ({ kind: 'ephemeral', ephemeral })));
      for (const typing of newest.values()) expiry.onPublished(typing);
      return accesses.map((access) => access !== undefined);
    },
    {
      maxBatchSize: MAX_BATCH_SIZE,
      maxQueuedSize: MAX_QUEUED_UPDATES,
      onFull: ({ actor: account }) => reportRefusal?.('queued writes', { account }),
    },
  );
  return {
    ...expiry,
    async set(update) {
      if (!(await batcher.submit(update))) throw notFound('The conversation');
    },
  };
}
