import { forbidden, unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { AccountEvent } from '../events/event.ts';
import { authenticate } from './accounts.ts';
import type { WallClock } from '../services/wall-clock.ts';
import type { Deps } from './deps.ts';
import type { Session } from '../actor.ts';
import { sameActor } from '../actor.ts';

/** Timers ignore clock changes and suspension: the wall clock is checked at least this often. */
const MAX_TIMER_MS = 60_000;

/** A session in use by a GraphQL connection, which keeps its account online. */
export interface LiveSession {
  readonly session: Session;
  /** Sets the only listener. Called once when the session ends; immediately if it has ended already. */
  onEnd(listener: (reason: EndReason) => void): void;
  close(): void;
}

/** Opens the session of a GraphQL connection. Throws UNAUTHENTICATED if the token is invalid. */
export async function openSession(deps: Deps, token: string, address?: string): Promise<LiveSession> {
  const session = await authenticate(deps, token, address);
  let ended: EndReason | undefined;
  let notify = (reason: EndReason): void => void (ended = reason);
  const unfollow = await followSession(deps, session, (reason) => notify(reason));
  try {
    const lease = await deps.presence.open('graphql', session.actor);
    return {
      session,
      onEnd(listener) {
        notify = listener;
        if (ended !== undefined) listener(ended);
      },
      close() {
        unfollow();
        void lease.close();
      },
    };
  } catch (error) {
    unfollow();
    throw error;
  }
}

/**
 * Opens a session of the same account with a new token. The caller closes the current one afterwards, so that the
 * account stays online. Throws UNAUTHENTICATED if the token is invalid, FORBIDDEN if it is of another account.
 */
export async function renewSession(
  deps: Deps,
  current: Session,
  token: string,
  address?: string,
): Promise<LiveSession> {
  const renewed = await openSession(deps, token, address);
  if (sameActor(current.actor, renewed.session.actor)) return renewed;
  renewed.close();
  throw forbidden('The token belongs to another account.');
}

/**
 * Calls `onEnd` once when the session ends by logout, expiry or deletion of its account, on any node, and with SLOW when
 * the account has too many connections on this one. Returns a function that stops following. Throws UNAUTHENTICATED if the
 * session has already ended, RATE_LIMITED when the account opens connections too fast.
 */
export async function followSession(
  deps: Deps,
  session: Session,
  onEnd: (reason: EndReason) => void,
): Promise<() => void> {
  await deps.rateLimits.consume('connect', { account: session.actor });
  const tail = await deps.tails.open(accountTopic(session.actor));
  if (tail === undefined) throw unauthenticated();
  let closed = false;
  const close = () => {
    closed = true;
    deps.accountConnections.remove(session.actor, end);
    stopTimer();
    unfollow();
    tail.close();
  };
  const end = (reason: EndReason) => {
    if (closed) return;
    close();
    onEnd(reason);
  };
  const unfollow = tail.follow({
    onEvent({ event }) {
      if (event.type === 'account.deleted') end('ACCOUNT_DELETED');
      if (event.type === 'session.ended' && endsSession(event, session)) end('LOGGED_OUT');
    },
    // Events trimmed before they were read may have ended the session.
    onGap() {
      deps.batchedReads.isActive(session).then(
        (active) => active || end('LOGGED_OUT'),
        () => end('SLOW'),
      );
    },
  });
  const stopTimer = callAt(deps.clock, session.expiresAt, () => end('TOKEN_EXPIRED'));
  try {
    // Follows the topic before it checks: an end that commits in between is then either found by the check or received as
    // an event.
    if (!(await deps.batchedReads.isActive(session))) throw unauthenticated();
  } catch (error) {
    close();
    throw error;
  }
  if (!closed) deps.accountConnections.add(session.actor, end);
  return close;
}

/** Whether the event ends this session: its token, its login, or all sessions of an earlier generation. */
function endsSession(
  { tokenId, generation, keptTokenId }: AccountEvent & { readonly type: 'session.ended' },
  session: Session,
): boolean {
  if (tokenId !== null) return tokenId === session.tokenId || tokenId === session.family?.id;
  if (keptTokenId === session.tokenId) return false;
  // The session may be newer: its topic is followed before it opens.
  return generation === undefined || session.generation === undefined || session.generation < generation;
}

/** Calls back at a time, in milliseconds since 1970. Returns a function that cancels it. */
function callAt(clock: WallClock, time: number, callback: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = () => {
    const remaining = time - clock.now();
    // Always asynchronous, even for an expired token: the caller needs the cancel function first.
    timer = setTimeout(
      () => (clock.now() < time ? wait() : callback()),
      Math.max(0, Math.min(remaining, MAX_TIMER_MS)),
    );
    timer.unref();
  };
  wait();
  return () => clearTimeout(timer);
}
