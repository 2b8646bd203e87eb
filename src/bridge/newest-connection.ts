import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import { isOutage } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { DomainEvent, Ephemeral } from '../events/event.ts';
import { retry } from '../lib/backoff.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf, framesOfEphemeral } from './contract/event-frames.ts';
import type { ForwardChannels } from './contract/event-frames.ts';

/** Maximum of events with a pending lookup, and of signals queued before `start`. */
const MAX_PENDING = 1_000;

export interface DeliveryOptions {
  readonly forward: ForwardChannels;
  /** Called with frames for the account, if this connection is its newest. */
  readonly onFrames: (frames: readonly Frame[]) => void;
  /** Called when the session ends, or with SLOW when too many frames are pending. */
  readonly onEnd: (reason: EndReason) => void;
}

type Signal = Extract<Ephemeral, { type: 'signal' }>;

/**
 * Delivers an account's frames if the connection is the account's newest on any node (contract decision 4). A signal
 * names the lease of its receiver; for an event, each connection queries which one is the newest.
 */
export class NewestConnectionDelivery {
  readonly #deps: Pick<BridgeDeps, 'log' | 'presence'>;
  readonly #actor: ActorRef;
  readonly #options: DeliveryOptions;
  readonly #started = Promise.withResolvers<number>();
  #leaseId: number | undefined;
  /** Signals received before `start`; above the limit they are dropped. */
  #early: Signal[] = [];
  /** The last pending delivery: deliveries run one after the other, in the order of events. */
  #last: Promise<unknown> = this.#started.promise;
  #pending = 0;
  #stopped = false;

  constructor(deps: Pick<BridgeDeps, 'log' | 'presence'>, actor: ActorRef, options: DeliveryOptions) {
    this.#deps = deps;
    this.#actor = actor;
    this.#options = options;
  }

  event(event: DomainEvent): void {
    if (this.#stopped || framesOf(event).length === 0) return;
    if (this.#pending >= MAX_PENDING) return this.#options.onEnd('SLOW');
    this.#pending += 1;
    this.#last = this.#last.then(() => this.#deliverIfNewest(event));
  }

  signal(signal: Signal): void {
    if (this.#leaseId === undefined) this.#early = [...this.#early, signal].slice(0, MAX_PENDING);
    else if (signal.legacyLease === this.#leaseId && !this.#stopped)
      this.#options.onFrames(framesOfEphemeral(signal, this.#options.forward));
  }

  /** Starts delivery for the connection's lease. Does nothing the second time. */
  start(leaseId: number): void {
    this.#leaseId = leaseId;
    const early = this.#early;
    this.#early = [];
    for (const signal of early) this.signal(signal);
    this.#started.resolve(leaseId);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #deliverIfNewest(event: DomainEvent): Promise<void> {
    const { log, presence } = this.#deps;
    try {
      const own = await this.#started.promise;
      if (this.#stopped) return;
      const newest = await retry(() => presence.newestLegacyLease(this.#actor), {
        isRetryable: isOutage,
        isWanted: () => !this.#stopped,
      });
      if (newest === own && !this.#stopped) this.#options.onFrames(framesOf(event));
    } catch (error) {
      log.error({ err: error, account: actorKey(this.#actor) }, 'newest connection lookup failed');
    } finally {
      this.#pending -= 1;
    }
  }
}
