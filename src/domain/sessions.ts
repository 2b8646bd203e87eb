import { forbidden, unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { authenticate } from './accounts.ts';
import type { Deps } from './deps.ts';
import type { Session } from '../actor.ts';
import { sameActor } from '../actor.ts';

/** A clock may be set, and a machine may sleep, while a timer runs: it is compared with the clock so often. */
const MAX_TIMER_MS = 60_000;

/** A session in use by a connection, which keeps its account online. */
export interface LiveSession {
  readonly session: Session;
  /** Calls back when the token or the account ends; at once when it has ended already. There is one listener. */
  onEnd(listener: (reason: EndReason) => void): void;
  /** The connection is over. */
  close(): void;
}

/** Opens a session for as long as a GraphQL connection lives. Throws UNAUTHENTICATED for a token that is not valid. */
export async function openSession(deps: Deps, token: string): Promise<LiveSession> {
  const session = await authenticate(deps, token);
  let ended: EndReason | undefined;
  let tell = (reason: EndReason): void => void (ended = reason);
  const unfollow = await followSession(deps, session, (reason) => tell(reason));
  try {
    const lease = await deps.presence.open('graphql', session.actor);
    return {
      session,
      onEnd(listener) {
        tell = listener;
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
 * Opens a session of the same account with another token, before the former one is closed: the account stays online.
 * Throws UNAUTHENTICATED for a token that is not valid, FORBIDDEN for one of another account.
 */
export async function renewSession(deps: Deps, former: Session, token: string): Promise<LiveSession> {
  const renewed = await openSession(deps, token);
  if (sameActor(former.actor, renewed.session.actor)) return renewed;
  renewed.close();
  throw forbidden('The token is of another account.');
}

/**
 * Calls back once when the session ends: by logout, expiry or deletion of its account, wherever in the cluster.
 * Answers a function that stops following. Throws UNAUTHENTICATED when it has ended already.
 */
export async function followSession(
  deps: Deps,
  session: Session,
  onEnd: (reason: EndReason) => void,
): Promise<() => void> {
  const tail = await deps.tails.open(accountTopic(session.actor));
  if (tail === undefined) throw unauthenticated();
  let closed = false;
  const close = () => {
    closed = true;
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
    event({ event }) {
      if (event.type === 'account.deleted') end('ACCOUNT_DELETED');
      if (event.type === 'session.ended' && (event.tokenId ?? session.tokenId) === session.tokenId)
        end('LOGGED_OUT');
    },
    // What was trimmed unseen may have ended the session.
    gap() {
      deps.batchedReads.isActive(session).then(
        (active) => active || end('LOGGED_OUT'),
        () => end('SLOW'),
      );
    },
  });
  const stopTimer = callAt(session.expiresAt, () => end('TOKEN_EXPIRED'));
  try {
    // Asked once the account is followed: what ends the session around now is seen by one of the two.
    if (!(await deps.batchedReads.isActive(session))) throw unauthenticated();
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** Calls back at a time of the wall clock, which a token names. */
function callAt(moment: number, callback: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = () => {
    const left = moment - Date.now();
    // Even a token that has expired ends its session later than this call returns.
    timer = setTimeout(
      () => (Date.now() < moment ? wait() : callback()),
      Math.max(0, Math.min(left, MAX_TIMER_MS)),
    );
    timer.unref();
  };
  wait();
  return () => clearTimeout(timer);
}
