import type { Device, User } from '../db/tables.ts';
import type { ActorView } from '../events/event.ts';
import type { EventStream } from '../events/stream.ts';
import type { UserId } from '../ids.ts';
import type { Actor, Session } from './actor.ts';
import type { Deps } from './deps.ts';

export interface CreateAccountInput {
  readonly email: string;
  readonly password: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

export interface UpdateAccountInput {
  readonly email?: string | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  /** Null removes it. */
  readonly birthday?: string | null | undefined;
}

/** Who the token stands for. Throws UNAUTHENTICATED when it is bad, expired, revoked or of no active account. */
export async function authenticate(_deps: Deps, _token: string): Promise<Session> {
  throw new Error('not yet');
}

export async function createAccount(
  _deps: Deps,
  _input: CreateAccountInput,
): Promise<{ token: string; user: User }> {
  throw new Error('not yet');
}

export async function login(
  _deps: Deps,
  _input: { readonly email: string; readonly password: string },
): Promise<{ token: string; user: User }> {
  throw new Error('not yet');
}

export async function loginDevice(
  _deps: Deps,
  _input: { readonly username: string; readonly password: string },
): Promise<{ token: string; device: Device }> {
  throw new Error('not yet');
}

/** Revokes the session's token, and no other. */
export async function logout(_deps: Deps, _session: Session): Promise<void> {
  throw new Error('not yet');
}

/** A new token for the same account; the old one stays valid. */
export async function refreshToken(_deps: Deps, _session: Session): Promise<{ token: string; actor: Actor }> {
  throw new Error('not yet');
}

export async function updateAccount(_deps: Deps, _actor: Actor, _input: UpdateAccountInput): Promise<User> {
  throw new Error('not yet');
}

export async function changePassword(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly current: string; readonly next: string },
): Promise<User> {
  throw new Error('not yet');
}

/** Answers the account as it was. */
export async function deleteAccount(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly password: string },
): Promise<User> {
  throw new Error('not yet');
}

export async function me(_deps: Deps, _actor: Actor): Promise<ActorView> {
  throw new Error('not yet');
}

/** For users whom the actor was already shown: checks nothing. */
export async function usersById(
  _deps: Deps,
  _actor: Actor,
  _ids: readonly UserId[],
): Promise<Map<UserId, User>> {
  throw new Error('not yet');
}

/** The user if the actor may know of them: oneself, and whoever shares a circle. */
export async function visibleUser(_deps: Deps, _actor: Actor, _id: UserId): Promise<User | undefined> {
  throw new Error('not yet');
}

/** What concerns the session's account alone. */
export async function openInboxEvents(
  _deps: Deps,
  _session: Session,
  _input: { readonly after: string | null },
  _signal: AbortSignal | undefined,
): Promise<EventStream> {
  throw new Error('not yet');
}
