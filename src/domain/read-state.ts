import type { ActorRef } from '../actor.ts';
import * as rows from '../db/read-state.ts';
import type { Conversation, Message } from '../db/tables.ts';
import type { CircleId, ConversationId, MessageId } from '../ids.ts';
import { groupBy } from '../lib/group-rows.ts';
import type { Deps } from './deps.ts';

/**
 * Marks the messages of a conversation as read, up to and including one. Throws NOT_FOUND unless the actor takes part in the
 * conversation and the message is in it, RATE_LIMITED.
 */
export async function markRead(
  deps: Deps,
  actor: ActorRef,
  input: { readonly conversationId: ConversationId; readonly messageId: MessageId },
): Promise<Conversation> {
  await deps.rateLimits.consume('read', { account: actor });
  return deps.readMarker.mark({ actor, ...input });
}

/** Counts the unread messages of the conversations in which the actor takes part. */
export async function countUnreadMessages(
  deps: Deps,
  actor: ActorRef,
  ids: readonly ConversationId[],
): Promise<Map<ConversationId, number>> {
  const counts = await rows.countUnread(deps.db, actor, ids);
  return new Map(counts.map(({ conversationId, unreadCount }) => [conversationId, unreadCount]));
}

/** Finds, in each circle, the conversations in which the actor takes part, with the counts of their unread messages. */
export async function findConversationsWithUnread(
  deps: Deps,
  actor: ActorRef,
  circleIds: readonly CircleId[],
): Promise<Map<CircleId, (Conversation & { readonly unreadCount: number })[]>> {
  const found = await rows.findAccessibleWithUnread(deps.db, actor, circleIds);
  return groupBy(circleIds, found, (conversation) => conversation.circleId);
}

/** Finds the newest read message of each of the conversations in which the actor takes part. */
export async function findLastReadMessages(
  deps: Deps,
  actor: ActorRef,
  ids: readonly ConversationId[],
): Promise<Map<ConversationId, Message>> {
  const messages = await rows.findLastRead(deps.db, actor, ids);
  return new Map(messages.map((message) => [message.conversationId, message]));
}
