import { unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import { NewestConnectionDelivery } from './newest-connection.ts';
import type { DeliveryOptions } from './newest-connection.ts';
import type { ActorRef, Session } from '../actor.ts';

/** A logged-in connection's session, lease, and subscription to its account's topic. */
export interface Login {
  readonly session: Session;
  readonly actor: ActorRef;
  /** Starts delivery of the account's frames, those since the login included. */
  start(): void;
  close(): Promise<void>;
}

export interface LoginOptions extends DeliveryOptions {
  readonly token: unknown;
}

/** Logs a connection in with a token. Throws UNAUTHENTICATED, after releasing everything that it opened. */
export async function logIn(deps: BridgeDeps, options: LoginOptions): Promise<Login> {
  if (typeof options.token !== 'string') throw unauthenticated();
  const session = await deps.authenticate(options.token);
  const { actor } = session;
  await using stack = new AsyncDisposableStack();
  const delivery = new NewestConnectionDelivery(deps, actor, options);

  // The topic is followed before the lease exists: a sender that finds the lease reaches this connection.
  const tail = await deps.tails.open(accountTopic(actor));
  if (tail === undefined) throw unauthenticated();
  stack.defer(() => tail.close());
  stack.defer(
    tail.follow({
      onEvent: ({ event }) => delivery.event(event),
      onEphemeral: (ephemeral) => ephemeral.type === 'signal' && delivery.signal(ephemeral),
    }),
  );

  let opened = false;
  let ended = false;
  const onEnd = (reason: EndReason): void => {
    ended = true;
    if (opened) options.onEnd(reason);
  };
  stack.defer(await deps.followSession(session, onEnd));
  const lease = await deps.presence.open('legacy', actor);
  stack.defer(() => lease.close());
  if (ended) throw unauthenticated();
  opened = true;

  const owned = stack.move();
  return {
    session,
    actor,
    start: () => delivery.start(lease.leaseId),
    async close() {
      delivery.stop();
      await owned.disposeAsync();
    },
  };
}
