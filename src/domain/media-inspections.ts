import type { Session } from '../actor.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import { conversationTopic, inspectionTopic } from '../events/event.ts';
import type { ReaderOptions } from '../events/stream.ts';
import type { ConversationId } from '../ids.ts';
import { requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import type { Media } from './models.ts';

const APPROXIMATE_BYTES = 1_000;

/** Opens a stream of the files in a conversation whose inspection ends. Throws NOT_FOUND without access to it. */
export async function openMediaInspections(
  deps: Deps,
  { actor }: Session,
  conversationId: ConversationId,
  { signal, budget }: ReaderOptions,
): Promise<EphemeralStream<Media>> {
  return openEphemeralStream<Media>(deps, {
    topic: conversationTopic(conversationId),
    itemTopic: inspectionTopic(conversationId),
    actor,
    async authorize() {
      await requireConversationAccess(deps.db, actor, conversationId);
    },
    signal,
    pick: (ephemeral) => (ephemeral.type === 'media-inspected' ? ephemeral.media : undefined),
    key: () => null,
    bytesOf: () => APPROXIMATE_BYTES,
    budget,
  });
}
