import { retry } from '../lib/backoff.ts';
import { isOutage, unauthenticated } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import type { DomainEvent, Ephemeral } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf, framesOfEphemeral } from './contract/event-frames.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import type { ActorRef, Session } from '../actor.ts';

const MAX_WAITING = 1_000;

type Signal = Extract<Ephemeral, { type: 'signal' }>;

/** The account of one connection: its session, its lease, and what is said to it alone. */
export interface Account {
  readonly session: Session;
  readonly actor: ActorRef;
  /** Begins to say what there is to say, from the moment of opening on. */
  start(): void;
  close(): Promise<void>;
}

export interface AccountOptions {
  readonly token: unknown;
  readonly forward: ForwardChannels;
  /** Told what is meant for the account alone, if this connection is its newest. */
  readonly onFrames: (frames: readonly Frame[]) => void;
  /** Called when the session ends, or when too much waits to be said. */
  readonly onEnd: (reason: EndReason) => void;
}

/** Logs a connection in. Throws UNAUTHENTICATED, having opened nothing. */
export async function openAccount(deps: BridgeDeps, options: AccountOptions): Promise<Account> {
  if (typeof options.token !== 'string') throw unauthenticated();
  const session = await deps.authenticate(options.token);
  const { actor } = session;
  await using stack = new AsyncDisposableStack();
  const speech = createSpeech(deps, actor, options);

  // Followed before the lease exists: whoever finds the lease is heard.
  const tail = await deps.tails.open(accountTopic(actor));
  if (tail === undefined) throw unauthenticated();
  stack.defer(() => tail.close());
  stack.defer(
    tail.follow({
      event: ({ event }) => speech.event(event),
      ephemeral: (ephemeral) => ephemeral.type === 'signal' && speech.signal(ephemeral),
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
    start: () => speech.start(lease.leaseId),
    async close() {
      speech.stop();
      await owned.disposeAsync();
    },
  };
}

/**
 * Contract decision 4: of an account's connections, wherever they are, only the newest is told what is meant for the
 * account alone. A signal names its connection; for an event each asks whether it is the newest.
 */
function createSpeech(deps: BridgeDeps, actor: ActorRef, { forward, onFrames, onEnd }: AccountOptions) {
  const started = Promise.withResolvers<number>();
  let early: Signal[] = [];
  let leaseId: number | undefined;
  let last: Promise<unknown> = started.promise;
  let waiting = 0;
  let stopped = false;

  const sayIfNewest = async (frames: readonly Frame[]): Promise<void> => {
    try {
      const own = await started.promise;
      if (stopped) return;
      const newest = await retry(() => deps.presence.newestLegacyLease(actor), {
        isRetryable: isOutage,
        isWanted: () => !stopped,
      });
      if (newest === own && !stopped) onFrames(frames);
    } catch (error) {
      deps.log.error({ err: error, actor }, 'failed to find the newest connection of an account');
    } finally {
      waiting -= 1;
    }
  };

  return {
    event(event: DomainEvent): void {
      const frames = framesOf(event);
      if (frames.length === 0 || stopped) return;
      if (waiting >= MAX_WAITING) return onEnd('SLOW');
      waiting += 1;
      last = last.then(() => sayIfNewest(frames));
    },
    signal(signal: Signal): void {
      if (leaseId === undefined) early = [...early, signal].slice(0, MAX_WAITING);
      else if (signal.legacyLease === leaseId && !stopped) onFrames(framesOfEphemeral(signal, forward));
    },
    start(own: number): void {
      leaseId = own;
      for (const signal of early) this.signal(signal);
      early = [];
      started.resolve(own);
    },
    stop(): void {
      stopped = true;
    },
  };
}
