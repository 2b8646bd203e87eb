import { forbidden, unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { AccountEvent, Envelope } from '../events/event.ts';
import type { Tail } from '../events/tail.ts';
import type { Follower } from '../events/tail-source.ts';
import type { Lease } from '../services/presence.ts';
import { authenticate } from './accounts.ts';
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
  const session = await FollowedSession.open(deps, await authenticate(deps, token, address));
  await session.openLease();
  return session;
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
  const followed = await FollowedSession.open(deps, session, onEnd);
  return () => followed.close();
}

/** A class, because every connection holds one: closures would take several times the memory. */
class FollowedSession implements LiveSession, Follower {
  readonly session: Session;
  readonly #deps: Deps;
  readonly #tail: Tail;
  #listener: ((reason: EndReason) => void) | undefined;
  #ended: EndReason | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #lease: Lease | undefined;

  private constructor(
    deps: Deps,
    session: Session,
    tail: Tail,
    listener: ((reason: EndReason) => void) | undefined,
  ) {
    this.session = session;
    this.#deps = deps;
    this.#tail = tail;
    this.#listener = listener;
    tail.follow(this);
    this.#startTimer();
  }

  static async open(
    deps: Deps,
    session: Session,
    listener?: (reason: EndReason) => void,
  ): Promise<FollowedSession> {
    await deps.rateLimits.consume('connect', { account: session.actor });
    const tail = await deps.tails.open(accountTopic(session.actor));
    if (tail === undefined) throw unauthenticated();
    const followed = new FollowedSession(deps, session, tail, listener);
    try {
      // Follows the topic before it checks: an end that commits in between is then either found by the check or received
      // as an event.
      if (!(await deps.batchedReads.isActive(session))) throw unauthenticated();
    } catch (error) {
      followed.#stop();
      throw error;
    }
    if (!followed.#isStopped) deps.accountConnections.add(session.actor, followed);
    return followed;
  }

  /** Opens the lease that keeps the account online. Stops following if that fails. */
  async openLease(): Promise<void> {
    try {
      this.#lease = await this.#deps.presence.open('graphql', this.session.actor);
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  onEnd(listener: (reason: EndReason) => void): void {
    this.#listener = listener;
    if (this.#ended !== undefined) listener(this.#ended);
  }

  close(): void {
    this.#stop();
    void this.#lease?.close();
  }

  end(reason: EndReason): void {
    if (this.#isStopped) return;
    this.#stop();
    this.#ended = reason;
    this.#listener?.(reason);
  }

  onEvent({ event }: Envelope): void {
    if (event.type === 'account.deleted') this.end('ACCOUNT_DELETED');
    if (event.type === 'session.ended' && endsSession(event, this.session)) this.end('LOGGED_OUT');
  }

  /** Events trimmed before they were read may have ended the session. */
  onGap(): void {
    this.#deps.batchedReads.isActive(this.session).then(
      (active) => active || this.end('LOGGED_OUT'),
      () => this.end('SLOW'),
    );
  }

  #startTimer(): void {
    const remaining = this.session.expiresAt - this.#deps.clock.now();
    this.#timer = setTimeout(() => this.#checkExpiry(), Math.max(0, Math.min(remaining, MAX_TIMER_MS)));
    this.#timer.unref();
  }

  #checkExpiry(): void {
    if (this.#deps.clock.now() < this.session.expiresAt) this.#startTimer();
    else this.end('TOKEN_EXPIRED');
  }

  #stop(): void {
    this.#isStopped = true;
    this.#deps.accountConnections.remove(this.session.actor, this);
    clearTimeout(this.#timer);
    this.#tail.unfollow(this);
    this.#tail.close();
  }
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
