import type { ConnectionLimits } from './connection-limits.ts';
import type { LegacyEvent } from './inbound-queue.ts';

export interface QueuedEvent {
  readonly event: LegacyEvent;
  readonly needsLogin: boolean;
  /** Acknowledges the event; set if the client may send nothing more before that. */
  readonly acknowledge?: (() => void) | undefined;
}

export interface PreAuthQueueOptions {
  /** Beyond the limits the queue is flushed: its events are then rejected like any event before a login. */
  readonly limits: Pick<ConnectionLimits, 'preAuthTimeoutMs' | 'preAuthEvents' | 'preAuthBytes'>;
  /** Called with each queued event, in order, when the queue is flushed. */
  readonly onFlush: (event: LegacyEvent) => void;
}

/** Time without another event after which the client is assumed to wait for an acknowledgement. */
const QUIET_PERIOD_MS = 250;

/**
 * Queues the events that a new connection sends before `authenticate`: since 2.1, clients flush the events they buffered
 * offline before the app can authenticate. The queue is flushed once, after the first `authenticate` or when the timeout,
 * which starts with the connect, has passed. See docs/decisions/0018-events-before-authenticate.md.
 */
export class PreAuthQueue {
  readonly #options: PreAuthQueueOptions;
  readonly #timer: NodeJS.Timeout;
  #quietTimer: NodeJS.Timeout | undefined;
  #events: LegacyEvent[] = [];
  #bytes = 0;
  #isClosed = false;
  #onClosed: (() => void) | undefined;
  /** The client waits for each acknowledgement before it sends the next event. */
  #isSerial = false;

  constructor(options: PreAuthQueueOptions) {
    this.#options = options;
    // When the event loop was blocked, timers run before sockets are read: `setImmediate` lets an `authenticate` that
    // has arrived be read first.
    this.#timer = setTimeout(() => setImmediate(() => this.flush()), options.limits.preAuthTimeoutMs);
    this.#timer.unref();
  }

  /**
   * Queues an event. Returns false if the event must run now: after a flush, or if the queue is empty and the event needs
   * no login. Behind other events, one that needs no login is queued as well, which preserves the order.
   */
  add({ event, needsLogin, acknowledge }: QueuedEvent): boolean {
    if (this.#isClosed || (this.#events.length === 0 && !needsLogin)) return false;
    this.#events.push(event);
    this.#bytes += event.bytes;
    const { preAuthEvents, preAuthBytes } = this.#options.limits;
    if (this.#events.length > preAuthEvents || this.#bytes > preAuthBytes) this.flush();
    else this.#acknowledgeWhenQuiet(acknowledge);
    return true;
  }

  get length(): number {
    return this.#events.length;
  }

  /** Bytes of the queued events. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when the queue has no events: immediately, or when it is flushed. */
  async whenEmpty(): Promise<void> {
    if (this.#events.length > 0) await new Promise<void>((resolve) => (this.#onClosed = resolve));
  }

  /** Closes the queue and passes its events on, in order. Does nothing the second time. */
  flush(): void {
    const events = this.#events;
    this.discard();
    for (const event of events) this.#options.onFlush(event);
  }

  /** Closes the queue and drops its events. */
  discard(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#quietTimer);
    this.#events = [];
    this.#bytes = 0;
    this.#onClosed?.();
  }

  /** With `retries`, socket.io-client sends no `authenticate` before its previous event is acknowledged. */
  #acknowledgeWhenQuiet(acknowledge: QueuedEvent['acknowledge']): void {
    clearTimeout(this.#quietTimer);
    if (acknowledge === undefined) return void (this.#isSerial = false);
    if (this.#isSerial) return acknowledge();
    if (this.#events.length > 1) return;
    this.#quietTimer = setTimeout(() => {
      this.#isSerial = true;
      // The client does not repeat an acknowledged event, so it must not be rejected: it is queued until the login.
      clearTimeout(this.#timer);
      acknowledge();
    }, QUIET_PERIOD_MS);
    this.#quietTimer.unref();
  }
}
