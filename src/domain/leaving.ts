import * as circles from '../db/circles.ts';
import * as conversations from '../db/conversations.ts';
import { findAccessible } from '../db/conversation-access.ts';
import * as devices from '../db/devices.ts';
import type { Circle, Conversation, User } from '../db/tables.ts';
import { accountTopic, circleTopic, conversationTopic } from '../events/event.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, ConversationId, UserId } from '../ids.ts';

/** Why a user leaves a circle or a conversation: by choice, with the account, or kicked by another user. */
export type MembershipEnd =
  | { readonly cause: 'left' }
  | { readonly cause: 'deleted' }
  | { readonly cause: 'kicked'; readonly by: User };

/**
 * Locks everything that a user's leaving may end: the circles, the user's conversations in them, and the contents of
 * circles that lose their last member.
 */
export async function lockForLeaving(
  unit: UnitOfWork,
  userId: UserId,
  circleIds: readonly CircleId[],
): Promise<void> {
  await unit.lock(...circleIds.map(circleTopic));
  const emptied = await circles.findWithOnlyMember(unit.tx, circleIds, userId);
  const own = await findAccessible(unit.tx, { kind: 'user', id: userId }, circleIds);
  await lockContents(unit, emptied, own);
}

/** Locks a circle with all its contents. */
export async function lockForDeletion(unit: UnitOfWork, circleId: CircleId): Promise<void> {
  await unit.lock(circleTopic(circleId));
  await lockContents(unit, [circleId], []);
}

async function lockContents(
  unit: UnitOfWork,
  circleIds: readonly CircleId[],
  alsoLocked: readonly Conversation[],
): Promise<void> {
  const isEmpty = circleIds.length === 0;
  const inside = isEmpty ? [] : await conversations.findIdsOfCircles(unit.tx, circleIds);
  const circleDevices = isEmpty ? [] : await devices.findOfCircles(unit.tx, circleIds);
  await unit.lock(
    ...inside.map(conversationTopic),
    ...alsoLocked.map(({ id }) => conversationTopic(id)),
    ...circleDevices.map(({ id }) => accountTopic({ kind: 'device', id })),
  );
}

/**
 * Removes a user from conversations, whose locks are held. A conversation left with fewer than two participants is
 * deleted (contract 1.5); one without an ADMIN promotes its oldest participant, without an event.
 */
export async function endParticipation(
  unit: UnitOfWork,
  user: User,
  ids: readonly ConversationId[],
  end: MembershipEnd,
): Promise<void> {
  const ended = await conversations.removeParticipants(unit.tx, user.id, ids);
  if (ended.length === 0) return;
  const endedIds = ended.map((participant) => participant.conversationId);
  const emptied = await conversations.removeDeserted(unit.tx, endedIds);
  await conversations.ensureAdmins(unit.tx, endedIds);
  for (const participant of ended) {
    if (end.cause === 'kicked') unit.emit({ type: 'participant.kicked', participant, user, by: end.by });
    else unit.emit({ type: 'participant.left', participant, user, deleted: end.cause === 'deleted' });
    const conversation = emptied.find(({ id }) => id === participant.conversationId);
    if (conversation !== undefined) unit.emit({ type: 'conversation.deleted', conversation });
  }
}

/**
 * Ends a membership and the user's participation in the circle's conversations. Deletes the circle with its last
 * member. Requires `lockForLeaving`.
 */
export async function endMembership(
  unit: UnitOfWork,
  user: User,
  circle: Circle,
  end: MembershipEnd,
): Promise<void> {
  const joined = await findAccessible(unit.tx, { kind: 'user', id: user.id }, [circle.id]);
  await endParticipation(
    unit,
    user,
    joined.map(({ id }) => id),
    end,
  );
  await circles.removeMembership(unit.tx, circle.id, user.id);
  if (end.cause === 'kicked') unit.emit({ type: 'member.kicked', circleId: circle.id, user, by: end.by });
  else unit.emit({ type: 'member.left', circleId: circle.id, user, deleted: end.cause === 'deleted' });
  const remaining = await circles.findMemberships(unit.tx, [circle.id]);
  if (remaining.length === 0) await removeCircle(unit, circle);
  else await circles.ensureAdmin(unit.tx, circle.id);
}

/** Deletes a circle with all its contents. Requires `lockForDeletion`, or `lockForLeaving` of its last member. */
export async function removeCircle(unit: UnitOfWork, circle: Circle): Promise<void> {
  const deleted = await conversations.removeOfCircle(unit.tx, circle.id);
  for (const conversation of deleted.sort((a, b) => a.id - b.id))
    unit.emit({ type: 'conversation.deleted', conversation });
  const [device] = await devices.findOfCircles(unit.tx, [circle.id]);
  await circles.remove(unit.tx, circle.id);
  unit.emit({ type: 'circle.deleted', circle });
  // Deleted with its circle: ends the device's connections.
  if (device !== undefined)
    unit.emit({ type: 'account.deleted', account: { kind: 'device', id: device.id } });
}
