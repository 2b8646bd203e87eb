import { actorKey } from '../actor.ts';
import type { ActorRef, Session } from '../actor.ts';
import { findUsersWithPresence } from '../db/actors.ts';
import type { UserWithPresence } from '../db/actors.ts';
import * as devices from '../db/devices.ts';
import { isActive } from '../db/sessions.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { unauthenticated } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import { openStream } from '../events/open-stream.ts';
import type { EventStream, ReaderOptions } from '../events/stream.ts';
import type { UserId } from '../ids.ts';
import { indexById } from '../lib/group-rows.ts';
import type { Deps } from './deps.ts';

export { deleteAccount } from './account-deletion.ts';
export {
  authenticate,
  login,
  loginDevice,
  logout,
  logoutEverywhere,
  refreshToken,
} from './authentication.ts';
export type { Client } from './authentication.ts';
export { changePassword } from './own-password.ts';
export { updateAccount } from './profiles.ts';
export type { UpdateAccountInput } from './profiles.ts';
export { createAccount, createWithPassword, signUp } from './sign-up.ts';

/** Returns the caller's own account. Throws UNAUTHENTICATED if it was deleted. */
export async function requireMe(deps: Deps, actor: ActorRef): Promise<ActorView> {
  const isOnline = (await deps.presence.isOnline([actor], deps.db)).has(actorKey(actor));
  if (actor.kind === 'user') {
    const user = await users.findById(deps.db, actor.id);
    if (user === undefined) throw unauthenticated();
    return { kind: 'user', user, online: isOnline };
  }
  const device = await devices.findById(deps.db, actor.id);
  if (device === undefined) throw unauthenticated();
  return { kind: 'device', device, online: isOnline };
}

/** Finds users without an access check, for ids that the caller was already shown. */
export async function findUsersById(
  deps: Deps,
  ids: readonly UserId[],
): Promise<Map<UserId, UserWithPresence>> {
  return indexById(await findUsersWithPresence(deps.db, ids));
}

/** Finds a user if visible to the actor: itself, and users who share a circle with it. */
export async function findVisibleUser(deps: Deps, actor: ActorRef, id: UserId): Promise<User | undefined> {
  return (await findVisibleUsers(deps, actor, [id])).get(id);
}

export async function findVisibleUsers(
  deps: Deps,
  actor: ActorRef,
  ids: readonly UserId[],
): Promise<Map<UserId, User>> {
  return indexById(await users.findVisible(deps.db, actor, ids));
}

/** Opens the private events of the session's account. Throws UNAUTHENTICATED if the session has ended. */
export async function openInboxEvents(
  deps: Deps,
  session: Session,
  input: { readonly after: string | null },
  options: ReaderOptions = {},
): Promise<EventStream> {
  const authorize = async () => {
    if (!(await isActive(deps.db, session))) throw unauthenticated();
  };
  return openStream(deps, {
    topic: accountTopic(session.actor),
    actor: session.actor,
    after: input.after,
    authorize,
    signal: options.signal,
    budget: options.budget,
  });
}
