import { findActors } from '../db/actors.ts';
import * as mediaRows from '../db/media.ts';
import * as messages from '../db/messages.ts';
import type { Message } from '../db/tables.ts';
import { dropMissingFiles, findExpired } from '../db/uploads.ts';
import { eraseMessage } from '../events/erasure.ts';
import { conversationTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { TransactDeps } from '../events/unit-of-work.ts';
import type { ActorRef } from '../actor.ts';

/** Least time to upload the declared files of a message: a phone may be offline for a weekend. */
const MIN_EXPIRY_MS = 3 * 86_400_000;

/**
 * Completes messages whose declared files were not uploaded in time: the missing files are removed from the message,
 * and a message without text and files is deleted. They have three days, and at least `uploadMs`. Returns the number of
 * messages, at most `limit`.
 */
export async function expirePendingFiles(
  deps: TransactDeps,
  uploadMs: number,
  limit: number,
): Promise<number> {
  const expired = await findExpired(deps.db, Math.max(MIN_EXPIRY_MS, uploadMs), limit);
  for (const message of expired) await expire(deps, message);
  return expired.length;
}

async function expire(deps: TransactDeps, { id, conversationId }: Message): Promise<void> {
  await transact(deps, async (unit) => {
    await unit.lock(conversationTopic(conversationId));
    const found = await messages.findById(unit.tx, id);
    if (found === undefined || found.status === 'DONE') return;
    const message = await dropMissingFiles(unit.tx, id);
    if (message.text === '' && message.mediaCount === 0) {
      await messages.remove(unit.tx, id);
      await eraseMessage(unit.tx, message);
      unit.emit({ type: 'message.deleted', conversationId, messageId: id });
      return;
    }
    const author = authorOf(message);
    const [actor] = author === undefined ? [] : await findActors(unit.tx, [author]);
    // Events have an author. Without one, queries alone show the change.
    if (actor === undefined) return;
    const media = await mediaRows.findByMessages(unit.tx, [id]);
    unit.emit({ type: 'message.updated', message, author: actor, media });
  });
}

function authorOf({ authorUserId, authorDeviceId }: Message): ActorRef | undefined {
  if (authorUserId !== null) return { kind: 'user', id: authorUserId };
  return authorDeviceId === null ? undefined : { kind: 'device', id: authorDeviceId };
}
