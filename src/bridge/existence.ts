import { encodeCursor } from '../events/cursor.ts';
import type { ActorRef, Topic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';

/**
 * Whether a conversation exists, whoever takes part in it: the contract tells one that does not exist from one that
 * is not the caller's. The log of what was deleted is kept, and ends by saying so.
 */
export async function isKnown(
  deps: Pick<BridgeDeps, 'tails' | 'epoch' | 'openStream'>,
  actor: ActorRef,
  topic: Topic,
): Promise<boolean> {
  const tail = await deps.tails.open(topic);
  if (tail === undefined) return false;
  const { position } = tail;
  tail.close();
  if (position === 0) return true;
  const after = encodeCursor(deps.epoch, topic, position - 1);
  const stream = await deps.openStream({ topic, actor, after, authorise: async () => {} });
  try {
    const { value } = await stream.next();
    return !(value?.type === 'event' && value.event.type === 'conversation.deleted');
  } finally {
    await stream.return();
  }
}
