import * as conversations from '../db/conversations.ts';
import type { Db, Tx } from '../db/database.ts';
import type { Participant, Message } from '../db/tables.ts';
import { forbidden, notFound } from '../errors.ts';
import { circleTopic, conversationTopic } from '../events/event.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId } from '../ids.ts';
import type { ActorRef } from '../actor.ts';
import { findAccess, findAccesses } from '../db/conversation-access.ts';
import type { ConversationAccess } from '../db/conversation-access.ts';
import type { ActorView } from '../events/event.ts';

/** The one rule on who may read and write. Throws NOT_FOUND unless the actor takes part in the conversation. */
export async function requireConversationAccess(
  db: Db | Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<ConversationAccess> {
  const access = await findAccess(db, actor, id);
  if (access === undefined) throw notFound('The conversation');
  return access;
}

/** What a user has who takes part. */
export interface Participation extends ConversationAccess {
  readonly participant: Participant;
}

/** The same for what only users may do. Throws FORBIDDEN for a device. */
export async function requireParticipation(
  tx: Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<Participation> {
  const { conversation, participant } = await requireConversationAccess(tx, actor, id);
  if (participant === null) throw forbidden('A device may not do this.');
  return { conversation, participant };
}

/** Throws FORBIDDEN unless the actor takes part as ADMIN. */
export async function requireConversationAdmin(
  tx: Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<Participation> {
  const access = await requireParticipation(tx, actor, id);
  if (access.participant.role !== 'ADMIN') throw forbidden('Only an admin of the conversation may do this.');
  return access;
}

/** Takes the locks of a conversation and its circle: what is asked of either stays true. */
export async function lockWithCircle(unit: UnitOfWork, id: ConversationId): Promise<void> {
  const circleId = await conversations.findCircleId(unit.tx, id);
  if (circleId === undefined) throw notFound('The conversation');
  await unit.lock(circleTopic(circleId), conversationTopic(id));
}

/**
 * The actor as the author of a message. Throws NOT_FOUND unless it may read the message, FORBIDDEN unless it wrote it
 * and still takes part in the conversation.
 */
export async function requireAuthor(
  db: Db,
  actor: ActorRef,
  message: Message,
  what: string,
): Promise<ActorView> {
  const [access] = await findAccesses(db, [{ account: actor, conversationId: message.conversationId }]);
  const authorId = actor.kind === 'user' ? message.authorUserId : message.authorDeviceId;
  const wrote = authorId === actor.id;
  if (access !== undefined && wrote) return access.actor;
  if (access === undefined && !wrote) throw notFound(what);
  throw forbidden('Only the author of the message may do this, while taking part in the conversation.');
}
