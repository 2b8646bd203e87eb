import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import { isOutage } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { DomainEvent, Envelope, Ephemeral } from '../events/event.ts';
import type { Follower } from '../events/tail-source.ts';
import { retry } from '../lib/backoff.ts';
import { approximateJsonSize } from '../lib/binary-json.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf, framesOfEphemeral } from './contract/event-frames.ts';
import type { ForwardChannels } from './contract/event-frames.ts';

/** Most events whose lookup is pending, and most signals queued before `start`. */
const MAX_PENDING_ITEMS = 1_000;
/** Bytes of the signals queued before `start`. */
const MAX_QUEUED_SIGNAL_BYTES = 1024 * 1024;

export interface AccountDeliveryOptions {
  readonly forward: ForwardChannels;
  /** Called with frames for the account, if this connection is its newest. */
  readonly onFrames: (frames: readonly Frame[]) => void;
  /** Called when the session ends, or with SLOW when too many frames are pending. */
  readonly onEnd: (reason: EndReason) => void;
}

type Signal = Extract<Ephemeral, { type: 'signal' }>;

/**
 * Delivers the frames of an account's topic to a connection of the account, if the connection is the account's newest on
 * any node: an account receives each frame once. A signal names the lease of its receiver; for an event, each connection
 * queries which one is the newest.
 */
export class AccountDelivery implements Follower {
  readonly #deps: Pick<BridgeDeps, 'log' | 'presence'>;
  readonly #actor: ActorRef;
  readonly #options: AccountDeliveryOptions;
  /** Set while deliveries wait for `start`. */
  #started: PromiseWithResolvers<number> | undefined;
  #leaseId: number | undefined;
  /** Signals received before `start`; above the limits they are dropped. */
  #queuedSignals: Signal[] = [];
  #queuedSignalBytes = 0;
  /** The last pending delivery: deliveries run one after the other, in the order of events. */
  #last: Promise<void> | undefined;
  #pendingEvents = 0;
  #isStopped = false;

  constructor(deps: Pick<BridgeDeps, 'log' | 'presence'>, actor: ActorRef, options: AccountDeliveryOptions) {
    this.#deps = deps;
    this.#actor = actor;
    this.#options = options;
  }

  /** Delivers the frames of an event, after those of earlier events. */
  onEvent({ event }: Envelope): void {
    if (this.#isStopped || framesOf(event).length === 0) return;
    if (this.#pendingEvents >= MAX_PENDING_ITEMS) return this.#options.onEnd('SLOW');
    this.#pendingEvents += 1;
    this.#last =
      this.#last === undefined
        ? this.#deliverIfNewest(event)
        : this.#last.then(() => this.#deliverIfNewest(event));
  }

  /** Delivers the frames of a signal if it names the lease of this connection. */
  onEphemeral(ephemeral: Ephemeral): void {
    if (this.#isStopped || ephemeral.type !== 'signal') return;
    if (this.#leaseId === undefined) this.#queueSignal(ephemeral);
    else if (ephemeral.legacyLease === this.#leaseId)
      this.#options.onFrames(framesOfEphemeral(ephemeral, this.#options.forward));
  }

  /** Starts delivery for the connection's lease. Does nothing the second time. */
  start(leaseId: number): void {
    this.#leaseId = leaseId;
    const queuedSignals = this.#queuedSignals;
    this.#queuedSignals = [];
    for (const signal of queuedSignals) this.onEphemeral(signal);
    this.#started?.resolve(leaseId);
    this.#started = undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.#queuedSignals = [];
  }

  #queueSignal(signal: Signal): void {
    this.#queuedSignalBytes += approximateJsonSize(signal.content);
    if (this.#queuedSignals.length < MAX_PENDING_ITEMS && this.#queuedSignalBytes <= MAX_QUEUED_SIGNAL_BYTES)
      this.#queuedSignals.push(signal);
  }

  async #deliverIfNewest(event: DomainEvent): Promise<void> {
    const { log, presence } = this.#deps;
    try {
      const ownLease = this.#leaseId ?? (await (this.#started ??= Promise.withResolvers()).promise);
      if (this.#isStopped) return;
      const newestLease = await retry(() => presence.newestLegacyLease(this.#actor), {
        isRetryable: isOutage,
        isWanted: () => !this.#isStopped,
      });
      if (newestLease === ownLease && !this.#isStopped) this.#options.onFrames(framesOf(event));
    } catch (error) {
      log.error({ err: error, account: actorKey(this.#actor) }, 'newest connection lookup failed');
    } finally {
      this.#pendingEvents -= 1;
      if (this.#pendingEvents === 0) this.#last = undefined;
    }
  }
}
