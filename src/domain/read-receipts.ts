import type { ActorRef, Session } from '../actor.ts';
import { actorKey } from '../actor.ts';
import * as rows from '../db/read-receipts.ts';
import type { ReadReceipt } from '../db/read-receipts.ts';
import type { Conversation, Message } from '../db/tables.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import { conversationTopic, receiptTopic } from '../events/event.ts';
import type { DomainEvent } from '../events/event.ts';
import type { ReaderOptions } from '../events/stream.ts';
import { transact } from '../events/unit-of-work.ts';
import type { ConversationId, ParticipantId } from '../ids.ts';
import { requireConversationAccess, requireConversationAdmin } from './conversation-access.ts';
import type { Deps } from './deps.ts';

/** Sets whether participants see how far the others have read. Publishes nothing without a change. Throws NOT_FOUND, FORBIDDEN. */
export async function setReadReceipts(
  deps: Deps,
  actor: ActorRef,
  { conversationId, allowed }: { readonly conversationId: ConversationId; readonly allowed: boolean },
): Promise<Conversation> {
  return transact(deps, async (unit) => {
    await unit.lock(conversationTopic(conversationId));
    const { conversation: found } = await requireConversationAdmin(unit.tx, actor, conversationId);
    if (found.readReceipts === allowed) return found;
    const conversation = await rows.setReadReceipts(unit.tx, conversationId, allowed);
    unit.emit({ type: 'conversation.updated', conversation, changed: 'readReceipts' });
    return conversation;
  });
}

/** Finds the newest read message of each of the participants, where the actor sees it. */
export async function findReceiptsByParticipants(
  deps: Deps,
  actor: ActorRef,
  ids: readonly ParticipantId[],
): Promise<Map<ParticipantId, Message>> {
  const found = await rows.findReceiptsOfParticipants(deps.db, actor, ids);
  return new Map(found.map(({ readerId, ...message }) => [readerId, message]));
}

/** Finds the newest message that the device has read in each of the conversations, where the actor sees it. */
export async function findReceiptsOfDevices(
  deps: Deps,
  actor: ActorRef,
  ids: readonly ConversationId[],
): Promise<Map<ConversationId, Message>> {
  const found = await rows.findReceiptsOfDevices(deps.db, actor, ids);
  return new Map(found.map((message) => [message.conversationId, message]));
}

/**
 * Opens a stream of the read receipts of a conversation: first those that there are, then each change. For a slow reader
 * only the newest one of each reader is buffered. Delivers nothing while receipts are off. Throws NOT_FOUND without access.
 */
export async function openReadReceipts(
  deps: Deps,
  { actor }: Session,
  conversationId: ConversationId,
  { signal }: ReaderOptions,
): Promise<EphemeralStream<ReadReceipt>> {
  return openEphemeralStream<ReadReceipt>(deps, {
    topic: conversationTopic(conversationId),
    itemTopic: receiptTopic(conversationId),
    actor,
    async authorize() {
      await requireConversationAccess(deps.db, actor, conversationId);
    },
    signal,
    selectRevoked,
    pick: (ephemeral) => (ephemeral.type === 'read-receipt' ? ephemeral.receipt : undefined),
    key: ({ reader }) => actorKey(reader),
    onAuthorized: async () => ({ items: await rows.findReceipts(deps.db, conversationId) }),
  });
}

/** Returns which receipts are no longer to be seen after an event of the conversation. */
function selectRevoked(event: DomainEvent): ((receipt: ReadReceipt) => boolean) | undefined {
  if (event.type === 'conversation.updated' && event.changed === 'readReceipts')
    return event.conversation.readReceipts ? undefined : () => true;
  if (event.type === 'participant.left' || event.type === 'participant.kicked')
    return ({ participantId }) => participantId === event.participant.id;
  if (event.type === 'device-access.changed' && !event.allowed)
    return ({ reader }) => reader.kind === 'device';
  return undefined;
}
