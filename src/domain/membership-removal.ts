import * as circles from '../db/circles.ts';
import * as conversations from '../db/conversations.ts';
import { findAccessibleConversations } from '../db/conversation-access.ts';
import * as devices from '../db/devices.ts';
import type { Circle, Conversation, User } from '../db/tables.ts';
import { accountTopic, circleTopic, conversationTopic } from '../events/event.ts';
import { eraseTopics, lockErasure } from '../events/erasure.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, ConversationId, UserId } from '../ids.ts';

/** Why a user is removed from a circle or a conversation: it left, its account was deleted, or another user kicked it. */
export type RemovalReason =
  | { readonly cause: 'left' }
  | { readonly cause: 'deleted' }
  | { readonly cause: 'kicked'; readonly by: User };

/**
 * Locks everything that the user's removal from the circles may change: the circles, the user's conversations in them,
 * and the contents of circles that lose their last member.
 */
export async function lockForMemberRemoval(
  unit: UnitOfWork,
  userId: UserId,
  circleIds: readonly CircleId[],
): Promise<void> {
  await unit.lock(...circleIds.map(circleTopic));
  const emptiedIds = await circles.findWithOnlyMember(unit.tx, circleIds, userId);
  const userConversations = await findAccessibleConversations(
    unit.tx,
    { kind: 'user', id: userId },
    circleIds,
  );
  await lockContents(unit, emptiedIds, userConversations);
}

/** Locks a circle with all its contents. */
export async function lockForCircleDeletion(unit: UnitOfWork, circleId: CircleId): Promise<void> {
  await unit.lock(circleTopic(circleId));
  await lockContents(unit, [circleId], []);
}

/** Locks the contents of circles, and other conversations. */
async function lockContents(
  unit: UnitOfWork,
  circleIds: readonly CircleId[],
  otherConversations: readonly Conversation[],
): Promise<void> {
  const isEmpty = circleIds.length === 0;
  const conversationIds = isEmpty ? [] : await conversations.findIdsByCircles(unit.tx, circleIds);
  const circleDevices = isEmpty ? [] : await devices.findByCircles(unit.tx, circleIds);
  await unit.lock(
    ...conversationIds.map(conversationTopic),
    ...otherConversations.map(({ id }) => conversationTopic(id)),
    ...circleDevices.map(({ id }) => accountTopic({ kind: 'device', id })),
  );
}

/**
 * Removes a user from conversations, whose locks are held. A conversation left with fewer than two participants is
 * deleted; one without an ADMIN promotes its oldest participant, without an event.
 */
export async function removeFromConversations(
  unit: UnitOfWork,
  user: User,
  ids: readonly ConversationId[],
  removal: RemovalReason,
): Promise<void> {
  const removed = await conversations.removeParticipants(unit.tx, user.id, ids);
  if (removed.length === 0) return;
  const conversationIds = removed.map((participant) => participant.conversationId);
  const emptied = await conversations.findWithFewerThanTwoParticipants(unit.tx, conversationIds);
  if (emptied.length > 0) await lockErasure(unit.tx);
  const deleted = await conversations.removeWithFewerThanTwoParticipants(unit.tx, emptied);
  await conversations.ensureAdmins(unit.tx, conversationIds);
  await eraseTopics(
    unit.tx,
    deleted.map(({ id }) => conversationTopic(id)),
  );
  for (const participant of removed) {
    if (removal.cause === 'kicked')
      unit.emit({ type: 'participant.kicked', participant, user, by: removal.by });
    else unit.emit({ type: 'participant.left', participant, user, deleted: removal.cause === 'deleted' });
    const conversation = deleted.find(({ id }) => id === participant.conversationId);
    if (conversation !== undefined) unit.emit({ type: 'conversation.deleted', conversation });
  }
}

/**
 * Removes a user from a circle and from its conversations. Deletes the circle with its last member. Requires
 * `lockForMemberRemoval`.
 */
export async function removeFromCircle(
  unit: UnitOfWork,
  user: User,
  circle: Circle,
  removal: RemovalReason,
): Promise<void> {
  const userConversations = await findAccessibleConversations(unit.tx, { kind: 'user', id: user.id }, [
    circle.id,
  ]);
  await removeFromConversations(
    unit,
    user,
    userConversations.map(({ id }) => id),
    removal,
  );
  await circles.removeMembership(unit.tx, circle.id, user.id);
  if (removal.cause === 'kicked')
    unit.emit({ type: 'member.kicked', circleId: circle.id, user, by: removal.by });
  else unit.emit({ type: 'member.left', circleId: circle.id, user, deleted: removal.cause === 'deleted' });
  const remaining = await circles.findMembershipsByCircles(unit.tx, [circle.id]);
  if (remaining.length === 0) await removeCircle(unit, circle);
  else await circles.ensureAdmin(unit.tx, circle.id);
}

/**
 * Deletes a circle with all its contents. Requires `lockForCircleDeletion`, or `lockForMemberRemoval` of its last
 * member.
 */
export async function removeCircle(unit: UnitOfWork, circle: Circle): Promise<void> {
  await lockErasure(unit.tx);
  const deletedConversations = await conversations.removeByCircle(unit.tx, circle.id);
  for (const conversation of deletedConversations.sort((a, b) => a.id - b.id))
    unit.emit({ type: 'conversation.deleted', conversation });
  const [device] = await devices.findByCircles(unit.tx, [circle.id]);
  await circles.remove(unit.tx, circle.id);
  await eraseTopics(unit.tx, [
    circleTopic(circle.id),
    ...deletedConversations.map(({ id }) => conversationTopic(id)),
  ]);
  unit.emit({ type: 'circle.deleted', circle });
  // Deleted with its circle: ends the device's connections.
  if (device !== undefined)
    unit.emit({ type: 'account.deleted', account: { kind: 'device', id: device.id } });
}
