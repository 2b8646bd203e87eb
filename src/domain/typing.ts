import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import { conversationTopic, actorRefOf } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import type { ActorRef, Session } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** An actor that started or stopped typing. */
export interface TypingChange {
  readonly actor: ActorView;
  readonly isTyping: boolean;
}

/** Publishes that the actor started or stopped typing. Throws NOT_FOUND unless it takes part, RATE_LIMITED. */
export async function setTyping(
  deps: Deps,
  actor: ActorRef,
  { conversationId, isTyping }: { readonly conversationId: ConversationId; readonly isTyping: boolean },
): Promise<void> {
  await deps.rateLimits.consume('typing', { account: actor });
  await deps.typing.set({ actor, conversationId, isTyping });
}

/** Opens a stream of typing in a conversation. For a slow reader only the newest change per actor is buffered. */
export async function openTyping(
  deps: Deps,
  session: Session,
  input: { readonly conversationId: ConversationId },
  signal: AbortSignal | undefined,
): Promise<EphemeralStream<TypingChange>> {
  return openEphemeralStream<TypingChange>(deps, {
    topic: conversationTopic(input.conversationId),
    actor: session.actor,
    authorize: async () => {
      await requireConversationAccess(deps.db, session.actor, input.conversationId);
    },
    signal,
    pick: (ephemeral) =>
      ephemeral.type === 'typing' ? { actor: ephemeral.actor, isTyping: ephemeral.isTyping } : undefined,
    key: ({ actor }) => actorKey(actorRefOf(actor)),
  });
}
