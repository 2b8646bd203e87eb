import * as circles from '../db/circles.ts';
import * as conversations from '../db/conversations.ts';
import { findAccessible } from '../db/conversation-access.ts';
import * as devices from '../db/devices.ts';
import type { Circle, Conversation, User } from '../db/tables.ts';
import { accountTopic, circleTopic, conversationTopic } from '../events/event.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, ConversationId, UserId } from '../ids.ts';

/** How somebody goes: of their own will, with their account, or by somebody. */
export type MembershipEnd =
  | { readonly cause: 'left' }
  | { readonly cause: 'deleted' }
  | { readonly cause: 'kicked'; readonly by: User };

/**
 * Takes the locks of all that ends, or may end, when the user goes from these circles: the circles, the conversations
 * there in which the user takes part, and whatever else is in circles that lose their last member.
 */
export async function lockForLeaving(
  unit: UnitOfWork,
  userId: UserId,
  circleIds: readonly CircleId[],
): Promise<void> {
  await unit.lock(...circleIds.map(circleTopic));
  const lonely = await circles.findWithOnlyMember(unit.tx, circleIds, userId);
  const own = await findAccessible(unit.tx, { kind: 'user', id: userId }, circleIds);
  await lockContents(unit, lonely, own);
}

/** Takes the locks of all that ends with the circle. */
export async function lockForDeletion(unit: UnitOfWork, circleId: CircleId): Promise<void> {
  await unit.lock(circleTopic(circleId));
  await lockContents(unit, [circleId], []);
}

async function lockContents(
  unit: UnitOfWork,
  whole: readonly CircleId[],
  single: readonly Conversation[],
): Promise<void> {
  const inside = whole.length === 0 ? [] : await conversations.findIdsOfCircles(unit.tx, whole);
  const machines = whole.length === 0 ? [] : await devices.findOfCircles(unit.tx, whole);
  await unit.lock(
    ...inside.map(conversationTopic),
    ...single.map(({ id }) => conversationTopic(id)),
    ...machines.map(({ id }) => accountTopic({ kind: 'device', id })),
  );
}

/**
 * Ends what the user has to do with the conversations, whose locks are held. A conversation in which no two are left
 * is deleted (contract 1.5); one that loses its last ADMIN gets its oldest participant for it, without an event.
 */
export async function endParticipation(
  unit: UnitOfWork,
  user: User,
  ids: readonly ConversationId[],
  departure: MembershipEnd,
): Promise<void> {
  const ended = await conversations.removeParticipants(unit.tx, user.id, ids);
  if (ended.length === 0) return;
  const endedIds = ended.map((participant) => participant.conversationId);
  const deserted = await conversations.removeDeserted(unit.tx, endedIds);
  await conversations.ensureAdmins(unit.tx, endedIds);
  for (const participant of ended) {
    if (departure.cause === 'kicked')
      unit.emit({ type: 'participant.kicked', participant, user, by: departure.by });
    else unit.emit({ type: 'participant.left', participant, user, deleted: departure.cause === 'deleted' });
    const conversation = deserted.find(({ id }) => id === participant.conversationId);
    if (conversation !== undefined) unit.emit({ type: 'conversation.deleted', conversation });
  }
}

/**
 * Ends a membership, and with it what the user has to do with the circle's conversations. Needs `lockForLeaving`.
 * The last member takes the circle along.
 */
export async function endMembership(
  unit: UnitOfWork,
  user: User,
  circle: Circle,
  departure: MembershipEnd,
): Promise<void> {
  const taken = await findAccessible(unit.tx, { kind: 'user', id: user.id }, [circle.id]);
  await endParticipation(
    unit,
    user,
    taken.map(({ id }) => id),
    departure,
  );
  await circles.removeMembership(unit.tx, circle.id, user.id);
  if (departure.cause === 'kicked')
    unit.emit({ type: 'member.kicked', circleId: circle.id, user, by: departure.by });
  else unit.emit({ type: 'member.left', circleId: circle.id, user, deleted: departure.cause === 'deleted' });
  const remaining = await circles.findMemberships(unit.tx, [circle.id]);
  if (remaining.length === 0) await removeCircle(unit, circle);
  else await circles.ensureAdmin(unit.tx, circle.id);
}

/** Deletes the circle with all that is in it. Needs `lockForDeletion`, or `lockForLeaving` of its last member. */
export async function removeCircle(unit: UnitOfWork, circle: Circle): Promise<void> {
  const gone = await conversations.removeOfCircle(unit.tx, circle.id);
  for (const conversation of gone.sort((a, b) => a.id - b.id))
    unit.emit({ type: 'conversation.deleted', conversation });
  const [device] = await devices.findOfCircles(unit.tx, [circle.id]);
  await circles.remove(unit.tx, circle.id);
  unit.emit({ type: 'circle.deleted', circle });
  // The device goes with its circle; its connections must hear of it.
  if (device !== undefined)
    unit.emit({ type: 'account.deleted', account: { kind: 'device', id: device.id } });
}
