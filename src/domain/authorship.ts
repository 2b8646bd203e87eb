import type { Db } from '../db/database.ts';
import { findAccess } from '../db/senders.ts';
import type { Message } from '../db/tables.ts';
import { forbidden, notFound } from '../errors.ts';
import type { ActorView } from '../events/event.ts';
import type { Actor } from './actor.ts';

/**
 * The actor as the author of a message. Throws NOT_FOUND unless it may read the message, FORBIDDEN unless it wrote it
 * and still takes part in the conversation.
 */
export async function requireAuthor(
  db: Db,
  actor: Actor,
  message: Message,
  what: string,
): Promise<ActorView> {
  const access = await findAccess(db, { account: actor, conversationId: message.conversationId });
  const authorId = actor.kind === 'user' ? message.authorUserId : message.authorDeviceId;
  const wrote = authorId === actor.id;
  if (access !== undefined && wrote) return access.actor;
  if (access === undefined && !wrote) throw notFound(what);
  throw forbidden('Only the author of the message may do this, while taking part in the conversation.');
}
