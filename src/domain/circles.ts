import type { Circle, Invitation, Membership } from '../db/tables.ts';
import type { EventStream } from '../events/stream.ts';
import type { CircleId, InvitationId, MembershipId } from '../ids.ts';
import type { Actor, Session } from './actor.ts';
import type { Deps } from './deps.ts';

export async function createCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly name: string },
): Promise<Circle> {
  throw new Error('not yet');
}

export async function updateCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId; readonly name: string },
): Promise<Circle> {
  throw new Error('not yet');
}

/** Answers the circle as it was. */
export async function deleteCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId },
): Promise<Circle> {
  throw new Error('not yet');
}

export async function inviteToCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId; readonly email: string },
): Promise<Invitation> {
  throw new Error('not yet');
}

export async function acceptInvitation(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly invitationId: InvitationId },
): Promise<Circle> {
  throw new Error('not yet');
}

/** Answers the invitation as it was. */
export async function declineInvitation(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly invitationId: InvitationId },
): Promise<Invitation> {
  throw new Error('not yet');
}

/** Answers the circle as it was; the last member takes it along. */
export async function leaveCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId },
): Promise<Circle> {
  throw new Error('not yet');
}

export async function kickFromCircle(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId; readonly email: string },
): Promise<Circle> {
  throw new Error('not yet');
}

/** The circles of a user, or the one of a device. */
export async function circlesOf(_deps: Deps, _actor: Actor): Promise<Circle[]> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor belongs to the circle. */
export async function requireCircle(_deps: Deps, _actor: Actor, _id: CircleId): Promise<Circle> {
  throw new Error('not yet');
}

/** For circles that the actor was already shown: checks nothing. */
export async function circlesById(_deps: Deps, _ids: readonly CircleId[]): Promise<Map<CircleId, Circle>> {
  throw new Error('not yet');
}

/** Members of each circle, oldest first. Checks nothing. */
export async function membershipsOfCircles(
  _deps: Deps,
  _ids: readonly CircleId[],
): Promise<Map<CircleId, Membership[]>> {
  throw new Error('not yet');
}

/** Pending invitations of each circle, oldest first. Checks nothing. */
export async function invitationsOfCircles(
  _deps: Deps,
  _ids: readonly CircleId[],
): Promise<Map<CircleId, Invitation[]>> {
  throw new Error('not yet');
}

/** Pending invitations to the actor, oldest first. */
export async function invitationsOf(_deps: Deps, _actor: Actor): Promise<Invitation[]> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor is invited by it or belongs to its circle. */
export async function requireInvitation(_deps: Deps, _actor: Actor, _id: InvitationId): Promise<Invitation> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor belongs to its circle. */
export async function requireMembership(_deps: Deps, _actor: Actor, _id: MembershipId): Promise<Membership> {
  throw new Error('not yet');
}

export async function openCircleEvents(
  _deps: Deps,
  _session: Session,
  _input: { readonly circleId: CircleId; readonly after: string | null },
  _signal: AbortSignal | undefined,
): Promise<EventStream> {
  throw new Error('not yet');
}
