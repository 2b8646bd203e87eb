import * as conversations from '../db/conversations.ts';
import { findConversationAccess } from '../db/conversation-access.ts';
import type { Tx } from '../db/database.ts';
import type { Conversation, ConversationRole, Participant, User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { conflict, forbidden, notFound } from '../errors.ts';
import { accountTopic, conversationTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, ParticipantId } from '../ids.ts';
import { requireCaller } from './circle-access.ts';
import { lockWithCircle, requireConversationAdmin, requireParticipation } from './conversation-access.ts';
import { removeFromConversations } from './membership-removal.ts';
import type { Deps } from './deps.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { indexById, groupBy } from '../lib/group-rows.ts';
import { parseEmail } from '../lib/text.ts';
import type { ActorRef } from '../actor.ts';

interface ConversationInput {
  readonly conversationId: ConversationId;
}

interface TargetInput extends ConversationInput {
  readonly email: string;
}

/** Adds participants, in this order. */
export async function addParticipants(
  unit: UnitOfWork,
  conversationId: ConversationId,
  newParticipants: readonly User[],
  role: ConversationRole,
): Promise<void> {
  if (newParticipants.length === 0) return;
  const rows = await conversations.insertParticipants(
    unit.tx,
    conversationId,
    newParticipants.map(({ id }) => ({ userId: id, role })),
  );
  for (const user of newParticipants) {
    const participant = rows.find((row) => row.userId === user.id);
    if (participant !== undefined) unit.emit({ type: 'participant.joined', participant, user });
  }
}

/** Adds a member of the circle. Throws NOT_FOUND, FORBIDDEN for a device, CONFLICT if the user takes part already. */
export async function inviteToConversation(
  deps: Deps,
  actor: ActorRef,
  input: TargetInput,
): Promise<Conversation> {
  const { conversationId } = input;
  const email = parseEmail('email', input.email);
  return transact(deps, async (unit) => {
    await lockWithCircle(unit, conversationId);
    const { conversation } = await requireParticipation(unit.tx, actor, conversationId);
    const [invitee] = await users.findMembersByEmails(unit.tx, conversation.circleId, [email]);
    if (invitee === undefined) throw notFound('A member of the circle with this e-mail');
    if (await conversations.findParticipantByUser(unit.tx, conversationId, invitee.id)) {
      throw conflict('The user already takes part in the conversation.');
    }
    await addParticipants(unit, conversationId, [invitee], 'STANDARD');
    unit.emit({ type: 'conversation.invited', userId: invitee.id, conversation });
    return conversation;
  });
}

/** Ends the actor's participation; returns the conversation as it was, as it may be deleted. */
export async function leaveConversation(
  deps: Deps,
  actor: ActorRef,
  input: ConversationInput,
): Promise<Conversation> {
  const result = await transact(deps, async (unit) => {
    await unit.lock(conversationTopic(input.conversationId));
    const { conversation } = await requireParticipation(unit.tx, actor, input.conversationId);
    const user = await requireCaller(unit.tx, actor);
    await removeFromConversations(unit, user, [conversation.id], { cause: 'left' });
    return conversation;
  });
  await removeUnusedFiles(deps);
  return result;
}

/** Ends another user's participation; returns the conversation as it was, as it may be deleted. */
export async function kickFromConversation(
  deps: Deps,
  actor: ActorRef,
  input: TargetInput,
): Promise<Conversation> {
  const email = parseEmail('email', input.email);
  const { conversation: result, kicked } = await transact(deps, async (unit) => {
    await unit.lock(conversationTopic(input.conversationId));
    const { conversation } = await requireConversationAdmin(unit.tx, actor, input.conversationId);
    const by = await requireCaller(unit.tx, actor);
    const { user } = await requireTarget(unit.tx, conversation.id, email);
    if (user.id === by.id) throw forbidden('You may leave the conversation, but not kick yourself.');
    await removeFromConversations(unit, user, [conversation.id], { cause: 'kicked', by });
    return { conversation, kicked: user };
  });
  deps.securityLog.record('participant kicked', {
    account: { kind: 'user', id: kicked.id },
    by: actor,
    topic: conversationTopic(result.id),
  });
  await removeUnusedFiles(deps);
  return result;
}

/** Transfers the actor's ADMIN role to another participant. Throws NOT_FOUND, FORBIDDEN, CONFLICT for oneself. */
export async function promoteInConversation(
  deps: Deps,
  actor: ActorRef,
  input: TargetInput,
): Promise<Conversation> {
  const email = parseEmail('email', input.email);
  const { conversation: result, promoted } = await transact(deps, async (unit) => {
    await unit.lock(conversationTopic(input.conversationId));
    const { conversation, participant: own } = await requireConversationAdmin(
      unit.tx,
      actor,
      input.conversationId,
    );
    const { participant: target, user } = await requireTarget(unit.tx, conversation.id, email);
    if (target.id === own.id) throw conflict('You are already an admin of the conversation.');
    // Before the row of the participant, which `ReadMarker` locks behind the topic.
    await unit.lock(accountTopic({ kind: 'user', id: user.id }));
    await conversations.setRole(unit.tx, own.id, 'STANDARD');
    const participant = await conversations.setRole(unit.tx, target.id, 'ADMIN');
    unit.emit({ type: 'participant.promoted', participant, user });
    unit.emit({ type: 'conversation.promoted', userId: user.id, conversation });
    return { conversation, promoted: user };
  });
  deps.securityLog.record('role changed', {
    account: { kind: 'user', id: promoted.id },
    by: actor,
    topic: conversationTopic(result.id),
  });
  return result;
}

async function requireTarget(
  tx: Tx,
  conversationId: ConversationId,
  email: string,
): Promise<{ participant: Participant; user: User }> {
  const user = await users.findByEmail(tx, email);
  const participant = user && (await conversations.findParticipantByUser(tx, conversationId, user.id));
  if (user === undefined || participant === undefined) throw notFound('A participant with this e-mail');
  return { participant, user };
}

/** Finds the participants of conversations, oldest first, without an access check. */
export async function findParticipantsByConversations(
  deps: Deps,
  ids: readonly ConversationId[],
): Promise<Map<ConversationId, Participant[]>> {
  return groupBy(
    ids,
    await conversations.findParticipantsByConversations(deps.db, ids),
    (participant) => participant.conversationId,
  );
}

/** Finds current participants, without an access check. */
export async function findParticipantsById(
  deps: Deps,
  ids: readonly ParticipantId[],
): Promise<Map<ParticipantId, Participant>> {
  return indexById(await conversations.findParticipantsByIds(deps.db, ids));
}

/** Returns a participant. Throws NOT_FOUND unless the actor takes part in its conversation. */
export async function requireParticipant(
  deps: Deps,
  actor: ActorRef,
  id: ParticipantId,
): Promise<Participant> {
  const participant = await conversations.findParticipant(deps.db, id);
  const access = participant && (await findConversationAccess(deps.db, actor, participant.conversationId));
  if (participant === undefined || access === undefined) throw notFound('The participant');
  return participant;
}
