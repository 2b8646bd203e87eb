import * as conversations from '../db/conversations.ts';
import type { ConversationAccess } from '../db/conversations.ts';
import type { Db, Tx } from '../db/database.ts';
import type { Participant } from '../db/tables.ts';
import { forbidden, notFound } from '../errors.ts';
import { circleTopic, conversationTopic } from '../events/event.ts';
import type { Unit } from '../events/record.ts';
import type { ConversationId } from '../ids.ts';
import type { Actor } from './actor.ts';

/** The one rule on who may read and write. Throws NOT_FOUND unless the actor takes part in the conversation. */
export async function requireConversationAccess(
  db: Db | Tx,
  actor: Actor,
  id: ConversationId,
): Promise<ConversationAccess> {
  const access = await conversations.findAccess(db, actor, id);
  if (access === undefined) throw notFound('The conversation');
  return access;
}

/** What a user has who takes part. */
export interface Participation extends ConversationAccess {
  readonly participant: Participant;
}

/** The same for what only users may do. Throws FORBIDDEN for a device. */
export async function requireParticipation(tx: Tx, actor: Actor, id: ConversationId): Promise<Participation> {
  const { conversation, participant } = await requireConversationAccess(tx, actor, id);
  if (participant === null) throw forbidden('A device may not do this.');
  return { conversation, participant };
}

/** Throws FORBIDDEN unless the actor takes part as ADMIN. */
export async function requireConversationAdmin(
  tx: Tx,
  actor: Actor,
  id: ConversationId,
): Promise<Participation> {
  const access = await requireParticipation(tx, actor, id);
  if (access.participant.role !== 'ADMIN') throw forbidden('Only an admin of the conversation may do this.');
  return access;
}

/** Takes the locks of a conversation and its circle: what is asked of either stays true. */
export async function lockWithCircle(unit: Unit, id: ConversationId): Promise<void> {
  const circleId = await conversations.findCircleId(unit.tx, id);
  if (circleId === undefined) throw notFound('The conversation');
  await unit.lock(circleTopic(circleId), conversationTopic(id));
}
