import type { Priority, TurnClock } from '../lib/turn-clock.ts';
import type { ConnectionLimits } from './connection-limits.ts';

/** A received event. */
export interface LegacyEvent {
  readonly name: unknown;
  readonly argument: unknown;
  /** Acknowledges the event; undefined if the client requests no acknowledgement. */
  readonly ack?: (() => void) | undefined;
  /** Size of its packets, attachments included. */
  readonly bytes: number;
  /** Whether it is the token of the handshake, and was not sent as an event. */
  readonly isHandshake?: boolean;
}

/** Queued events beyond which the client's socket is not read until only `RESUME_SHARE` of them are left. */
const HIGH_WATER_MARKS = {
  account: { events: 1_000, bytes: 1024 * 1024 },
  anonymous: { events: 256, bytes: 64 * 1024 },
} as const satisfies Record<Priority, { events: number; bytes: number }>;
const RESUME_SHARE = 0.5;

export interface InboundQueueOptions {
  readonly turnClock: TurnClock;
  readonly limits: Pick<ConnectionLimits, 'queuedEvents' | 'queuedBytes'>;
  /** Returns the account of the client; undefined while it is anonymous. */
  readonly flowOf: () => string | undefined;
  /** Handles an event. If it fails, the queue continues. */
  readonly handle: (event: LegacyEvent) => Promise<void>;
  /** Called when an event has been taken from the queue. */
  readonly onTaken: () => void;
  /** Whether the socket may be left unread. */
  readonly canPause: () => boolean;
  /** Called when the queue is so long that no more should be read, and when it is short again. */
  readonly onLong: () => void;
  readonly onShort: () => void;
  readonly onError: (error: unknown) => void;
}

/** The received events of one client, handled strictly one after the other. */
export class InboundQueue {
  readonly #options: InboundQueueOptions;
  #events: LegacyEvent[] = [];
  #bytes = 0;
  #finalWork: (() => Promise<void>) | undefined;
  #running: Promise<void> | undefined;
  #isLong = false;

  constructor(options: InboundQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#events.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Queues the event. Returns false if the queue is full. */
  push(event: LegacyEvent): boolean {
    const { queuedEvents, queuedBytes } = this.#options.limits;
    if (this.#events.length >= queuedEvents || this.#bytes + event.bytes > queuedBytes) return false;
    this.#events.push(event);
    this.#bytes += event.bytes;
    this.checkLength();
    this.#startIfIdle();
    return true;
  }

  /** Checks whether the queue is long, and the socket may be left unread. */
  checkLength(): void {
    if (this.#isLong === this.#exceeds(this.#isLong ? RESUME_SHARE : 1)) return;
    this.#isLong = !this.#isLong;
    if (this.#isLong) this.#options.onLong();
    else this.#options.onShort();
  }

  /** Runs the work after all queued events. */
  finish(work: () => Promise<void>): void {
    this.#finalWork = work;
    this.#startIfIdle();
  }

  /** Drops the events that have not started, but not the work of `finish`. */
  drop(): void {
    this.#events = [];
    this.#bytes = 0;
    if (this.#isLong) this.checkLength();
  }

  /** Resolves when the queue is empty and nothing is running. */
  async whenIdle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #exceeds(share: number): boolean {
    const { flowOf, canPause } = this.#options;
    const { events, bytes } = HIGH_WATER_MARKS[flowOf() === undefined ? 'anonymous' : 'account'];
    return canPause() && (this.#events.length > events * share || this.#bytes > bytes * share);
  }

  #startIfIdle(): void {
    this.#running ??= Promise.resolve().then(() => this.#runAll());
  }

  async #runAll(): Promise<void> {
    const { turnClock, flowOf, handle, onError } = this.#options;
    for (;;) {
      if (turnClock.isOver()) await turnClock.nextTurn(flowOf());
      // After the wait, during which the queue may have been dropped.
      const event = this.#takeEvent();
      const work = event === undefined ? this.#takeFinalWork() : () => handle(event);
      if (work === undefined) break;
      try {
        await work();
      } catch (error) {
        onError(error);
      }
    }
    this.#running = undefined;
  }

  #takeEvent(): LegacyEvent | undefined {
    const event = this.#events.shift();
    if (event === undefined) return undefined;
    this.#bytes -= event.bytes;
    if (this.#isLong) this.checkLength();
    this.#options.onTaken();
    return event;
  }

  #takeFinalWork(): (() => Promise<void>) | undefined {
    const work = this.#finalWork;
    this.#finalWork = undefined;
    return work;
  }
}
