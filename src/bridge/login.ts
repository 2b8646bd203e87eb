import { unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import { AccountDelivery } from './account-delivery.ts';
import type { AccountDeliveryOptions } from './account-delivery.ts';
import type { ActorRef, Session } from '../actor.ts';

/** A logged-in connection's session, lease, and subscription to its account's topic. */
export interface Login {
  readonly session: Session;
  readonly actor: ActorRef;
  /** Starts delivery of the account's frames, those since the login included. */
  startDelivery(): void;
  close(): Promise<void>;
}

export interface LoginOptions extends AccountDeliveryOptions {
  readonly token: unknown;
  /** The client's address. */
  readonly address: string;
}

/** Logs a connection in with a token. Throws UNAUTHENTICATED, after releasing everything that it opened. */
export async function logIn(deps: BridgeDeps, options: LoginOptions): Promise<Login> {
  if (typeof options.token !== 'string') throw unauthenticated();
  const session = await deps.authenticate(options.token, options.address);
  const { actor } = session;
  await using stack = new AsyncDisposableStack();
  const delivery = new AccountDelivery(deps, actor, options);

  // The topic is followed before the lease exists: a sender that finds the lease reaches this connection.
  const tail = await deps.tails.open(accountTopic(actor));
  if (tail === undefined) throw unauthenticated();
  stack.defer(() => tail.close());
  tail.follow(delivery);
  stack.defer(() => tail.unfollow(delivery));

  let isLoggedIn = false;
  let hasEnded = false;
  const onEnd = (reason: EndReason): void => {
    hasEnded = true;
    if (isLoggedIn) options.onEnd(reason);
  };
  stack.defer(await deps.followSession(session, onEnd));
  const lease = await deps.presence.open('legacy', actor);
  stack.defer(() => lease.close());
  if (hasEnded) throw unauthenticated();
  isLoggedIn = true;

  const resources = stack.move();
  return {
    session,
    actor,
    startDelivery: () => delivery.start(lease.leaseId),
    async close() {
      delivery.stop();
      await resources.disposeAsync();
    },
  };
}
