// The rule that decides who may read and write a conversation is SQL, in db/conversation-access.ts. These functions turn
// its result into errors, and add the rules on roles and authorship.

import * as conversations from '../db/conversations.ts';
import type { Db, Tx } from '../db/database.ts';
import type { Participant, Message } from '../db/tables.ts';
import { forbidden, notFound } from '../errors.ts';
import { circleTopic, conversationTopic } from '../events/event.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId } from '../ids.ts';
import type { ActorRef } from '../actor.ts';
import { findConversationAccess, findActorsWithAccess } from '../db/conversation-access.ts';
import type { ConversationAccess } from '../db/conversation-access.ts';
import type { ActorView } from '../events/event.ts';

/** Throws NOT_FOUND unless the actor may read and write the conversation. */
export async function requireConversationAccess(
  db: Db | Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<ConversationAccess> {
  const access = await findConversationAccess(db, actor, id);
  if (access === undefined) throw notFound('The conversation');
  return access;
}

/** The access of a user, who unlike a device is a participant. */
export interface Participation extends ConversationAccess {
  readonly participant: Participant;
}

/** Throws NOT_FOUND unless the actor takes part in the conversation, FORBIDDEN for a device. */
export async function requireParticipation(
  tx: Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<Participation> {
  const { conversation, participant } = await requireConversationAccess(tx, actor, id);
  if (participant === null) throw forbidden('A device may not do this.');
  return { conversation, participant };
}

/** Throws NOT_FOUND unless the actor takes part in the conversation, FORBIDDEN unless as ADMIN. */
export async function requireConversationAdmin(
  tx: Tx,
  actor: ActorRef,
  id: ConversationId,
): Promise<Participation> {
  const access = await requireParticipation(tx, actor, id);
  if (access.participant.role !== 'ADMIN') throw forbidden('Only an admin of the conversation may do this.');
  return access;
}

/** Locks a conversation and its circle: neither changes until the commit. Throws NOT_FOUND. */
export async function lockWithCircle(unit: UnitOfWork, id: ConversationId): Promise<void> {
  const circleId = await conversations.findCircleId(unit.tx, id);
  if (circleId === undefined) throw notFound('The conversation');
  await unit.lock(circleTopic(circleId), conversationTopic(id));
}

/**
 * Returns the actor as the author of a message. Throws NOT_FOUND unless it may read the message, FORBIDDEN unless it
 * wrote the message and still takes part in the conversation.
 */
export async function requireAuthor(
  db: Db,
  actor: ActorRef,
  message: Message,
  resource: string,
): Promise<ActorView> {
  const [access] = await findActorsWithAccess(db, [{ actor, conversationId: message.conversationId }]);
  const authorId = actor.kind === 'user' ? message.authorUserId : message.authorDeviceId;
  const isAuthor = authorId === actor.id;
  if (access !== undefined && isAuthor) return access.actor;
  if (access === undefined && !isAuthor) throw notFound(resource);
  throw forbidden(
    'Only the author of the message may do this, and only while taking part in the conversation.',
  );
}
