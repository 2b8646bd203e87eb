import type { Account } from '../db/accounts.ts';
import type { Db } from '../db/database.ts';
import { findAccesses } from '../db/senders.ts';
import { notFound } from '../errors.ts';
import { actorKey, conversationTopic } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { createGatherer } from './gatherer.ts';
import { createTypingEnds } from './typing-ends.ts';
import type { Typing, TypingEnds, TypingEndsOptions } from './typing-ends.ts';

const MAX_TOGETHER = 1_000;
const MAX_WAITING = 10_000;

/** What an account says of itself. */
interface TypingSign {
  readonly account: Account;
  readonly conversationId: ConversationId;
  readonly isTyping: boolean;
}

/** Tells who is typing: signs that come at the same moment are looked up together. */
export interface TypingSigns extends Pick<TypingEnds, 'end' | 'received'>, Disposable {
  /** Of those that one account gives in one conversation meanwhile, only the newest is told. Throws NOT_FOUND, RATE_LIMITED. */
  give(sign: TypingSign): Promise<void>;
}

export interface TypingSignsOptions extends TypingEndsOptions {
  readonly db: Db;
}

export function createTypingSigns({ db, ...options }: TypingSignsOptions): TypingSigns {
  const { bus } = options;
  const ends = createTypingEnds(options);
  const gatherer = createGatherer<TypingSign, boolean>(
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
    { max: MAX_TOGETHER, maxWaiting: MAX_WAITING },
  );
  return {
    ...ends,
    async give(sign) {
      if (!(await gatherer.add(sign))) throw notFound('The conversation');
    },
  };
}
