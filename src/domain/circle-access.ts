import * as circles from '../db/circles.ts';
import type { CircleAccess } from '../db/circles.ts';
import type { Db, Tx } from '../db/database.ts';
import type { Circle, User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, notFound, unauthenticated } from '../errors.ts';
import type { CircleId } from '../ids.ts';
import type { ActorRef } from '../actor.ts';
import { requireUser } from '../actor.ts';

/** Throws NOT_FOUND unless the actor belongs to the circle: as a member, or as its device. */
export async function requireCircleAccess(db: Db | Tx, actor: ActorRef, id: CircleId): Promise<CircleAccess> {
  const access = await circles.findAccess(db, actor, id);
  if (access === undefined) throw notFound('The circle');
  return access;
}

/** Returns the circle. Throws NOT_FOUND unless the actor belongs to it, FORBIDDEN for its device. */
export async function requireMember(db: Db | Tx, actor: ActorRef, id: CircleId): Promise<Circle> {
  const { circle } = await requireCircleAccess(db, actor, id);
  requireUser(actor);
  return circle;
}

/** Returns the circle. Throws NOT_FOUND unless the actor belongs to it, FORBIDDEN unless it is an ADMIN. */
export async function requireCircleAdmin(db: Db | Tx, actor: ActorRef, id: CircleId): Promise<Circle> {
  const { circle, role } = await requireCircleAccess(db, actor, id);
  if (role !== 'ADMIN') throw forbidden('Only an admin of the circle may do this.');
  return circle;
}

/** Reads the calling user. Throws FORBIDDEN for a device, UNAUTHENTICATED if the account was deleted. */
export async function requireCaller(db: Db | Tx, actor: ActorRef): Promise<User> {
  const user = await users.findById(db, requireUser(actor));
  if (user === undefined) throw unauthenticated();
  return user;
}
