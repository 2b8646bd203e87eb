import { expect } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { actorKey } from '../../src/actor.ts';
import * as eventLog from '../../src/db/event-log.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { countUnreadMessages, findLastReadMessages } from '../../src/domain/read-state.ts';
import { accountTopic, receiptTopic, toEnvelope } from '../../src/events/event.ts';
import type { Envelope, Topic } from '../../src/events/event.ts';
import type { ConversationId, MessageId } from '../../src/ids.ts';

/** Reads how far an actor has read a conversation: the number of unread messages, and the id of the newest read one. */
export async function readState(deps: Deps, actor: ActorRef, id: ConversationId) {
  const counts = await countUnreadMessages(deps, actor, [id]);
  const last = await findLastReadMessages(deps, actor, [id]);
  return { unread: counts.get(id), last: last.get(id)?.id };
}

export async function readLog(deps: Deps, topic: Topic): Promise<Envelope[]> {
  const page = await eventLog.readAfter(deps.db, topic, 0, 1_000_000);
  return (page?.entries ?? []).map(toEnvelope);
}

/** Returns the events about the read state of an actor. */
export async function readChanges(deps: Deps, actor: ActorRef) {
  const log = await readLog(deps, accountTopic(actor));
  return log.flatMap(({ event, at }) => (event.type === 'read-state.changed' ? [{ ...event, at }] : []));
}

/** Throws unless the read states moved forward, with 100 ms between two events about a conversation. */
export function checkChanges(changes: Awaited<ReturnType<typeof readChanges>>): void {
  for (const ofConversation of Map.groupBy(changes, ({ conversation }) => conversation.id).values())
    for (const [index, change] of ofConversation.entries()) {
      const former = ofConversation[index - 1];
      if (former === undefined) continue;
      expect(change.messageId).toBeGreaterThan(former.messageId);
      expect(Date.parse(change.at) - Date.parse(former.at)).toBeGreaterThanOrEqual(100);
    }
}

/** Records the published read receipts of conversations, with the time of each by a counter. */
export function followReceipts(deps: Deps, ids: readonly ConversationId[], now: () => number) {
  const newest = new Map<string, { readonly messageId: MessageId; readonly at: number }>();
  for (const id of ids)
    deps.bus.subscribe(receiptTopic(id), (notice) => {
      if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'read-receipt') return;
      const { reader, messageId } = notice.ephemeral.receipt;
      newest.set(`${actorKey(reader)} ${id}`, { messageId, at: now() });
    });
  return {
    /** Returns the newest receipt of an account in a conversation. */
    newest: (actor: ActorRef, id: ConversationId) => newest.get(`${actorKey(actor)} ${id}`),
  };
}
