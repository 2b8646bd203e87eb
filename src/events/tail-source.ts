import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import { isOutage } from '../errors.ts';
import { approximateJsonSize } from '../lib/binary-json.ts';
import { retry } from '../lib/backoff.ts';
import type { Logger } from '../log.ts';
import type { Bus, Notice } from './bus.ts';
import type { DeliveryGate } from './delivery-gate.ts';
import { approximateSize, isAccountTopic, toEnvelope } from './event.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

const PAGE_SIZE = 200;
const RETRY_MS = 500;
const EPHEMERAL_BYTES = 1_000;

/** Callbacks for a topic's tail, called synchronously. Must neither throw nor block. */
export interface Follower {
  /** Receives each event exactly once, in order. */
  onEvent?(envelope: Envelope): void;
  onEphemeral?(ephemeral: Ephemeral): void;
  /** Called when events were trimmed from the log before this node read them: the follower has missed some. */
  onGap?(): void;
}

/** Delivers an ephemeral item, after the next comparison with the log if the gate is closed. Returns false if it is dropped. */
export function deliverEphemeral(gate: DeliveryGate, ephemeral: Ephemeral, deliver: () => void): boolean {
  const bytes = EPHEMERAL_BYTES + (ephemeral.type === 'signal' ? approximateJsonSize(ephemeral.content) : 0);
  if (gate.mustHold) return gate.hold(bytes, deliver);
  deliver();
  return true;
}

/** Shared by the sources of a node. */
export interface SourceDeps {
  readonly eventLog: EventLog;
  readonly controlLog: EventLog;
  readonly bus: Bus;
  readonly log: Logger;
  readonly onEvent?: (envelope: Envelope) => void;
  readonly gate: DeliveryGate;
  /** Accounts whose missed events are being read. */
  readonly accountsBehind: Set<TailSource>;
}

/**
 * Follows the bus and the log of one topic. `deliveredSeq` is the position up to which followers have received events,
 * `#announcedSeq` the highest position that a notice announced; while they differ, events are read from the log.
 */
export class TailSource {
  /** Resolves to whether the topic exists. */
  readonly ready: Promise<boolean>;
  deliveredSeq = 0;
  readonly #deps: SourceDeps;
  readonly #topic: Topic;
  readonly #followers = new Set<Follower>();
  readonly #unsubscribe: () => void;
  #announcedSeq = 0;
  /** The newest event that the gate holds; 0 for none. */
  #heldSeq = 0;
  #isReading = true;
  /** The last read of missing events, and why it failed. */
  #reading: Promise<void> | undefined;
  #readError: unknown;
  #stopped = false;
  /** Number of restarts: what began before one must not change anything after it. */
  #run = 0;
  #isStarted = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: SourceDeps, topic: Topic) {
    this.#deps = deps;
    this.#topic = topic;
    // Subscribes before it reads the head: an event that commits in between is either part of the head or announced as
    // newer.
    this.#unsubscribe = deps.bus.subscribe(topic, (notice) => this.#receive(notice));
    this.ready = this.#start();
  }

  get lag(): number {
    // Unknown until the log's head was read.
    return this.#isStarted ? Math.max(0, this.#announcedSeq - this.deliveredSeq) : 0;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#deps.eventLog.readRange(this.#topic);
  }

  async readAfter(afterSeq: number, limit: number, log = this.#deps.eventLog): Promise<LogPage | undefined> {
    const page = await log.readAfter(this.#topic, afterSeq, limit);
    if (!this.#deps.gate.isOpen && !isAccountTopic(this.#topic)) await this.#deps.gate.pass();
    return page;
  }

  follow(follower: Follower): void {
    this.#followers.add(follower);
  }

  unfollow(follower: Follower): void {
    this.#followers.delete(follower);
  }

  advance(seq: number): void {
    this.#announcedSeq = Math.max(this.#announcedSeq, seq);
    const isHeld = this.#heldSeq >= this.#announcedSeq;
    if (this.#isReading || isHeld || this.deliveredSeq >= this.#announcedSeq) return;
    if (isAccountTopic(this.#topic)) this.#deps.accountsBehind.add(this);
    this.#reading = this.#readMissing();
  }

  /** Resolves once the events announced so far are delivered. Throws when the database is unavailable. */
  async caughtUp(): Promise<void> {
    const seq = this.#announcedSeq;
    // Before its start it has no followers that rely on it: they check their access after it.
    while (this.#isStarted && !this.#stopped && this.deliveredSeq < Math.min(seq, this.#announcedSeq)) {
      const reading = this.#reading;
      await reading;
      if (this.#readError === undefined || this.#reading !== reading) continue;
      if (isOutage(this.#readError)) throw this.#readError;
      // Must not stop the deliveries of all others.
      return this.#notify((follower) => follower.onGap?.());
    }
  }

  /** Starts again at the head of a log that was restored: followers have missed what is different in it. */
  async restart(): Promise<void> {
    this.#run += 1;
    clearTimeout(this.#retry);
    this.#deps.accountsBehind.delete(this);
    this.#isStarted = false;
    this.#isReading = true;
    this.deliveredSeq = 0;
    this.#announcedSeq = 0;
    this.#heldSeq = 0;
    const isWanted = (): boolean => !this.#stopped;
    const range = await retry(() => this.readRange(), { isRetryable: () => true, isWanted }).catch(
      () => undefined,
    );
    if (this.#stopped) return;
    this.#startAt(range?.head ?? 0);
    this.#notify((follower) => follower.onGap?.());
  }

  stop(): void {
    this.#stopped = true;
    this.#deps.accountsBehind.delete(this);
    clearTimeout(this.#retry);
    this.#unsubscribe();
  }

  async #start(): Promise<boolean> {
    await this.#deps.bus.whenFollowed(this.#topic);
    const run = this.#run;
    const range = await this.readRange();
    if (range === undefined) return false;
    if (run === this.#run) this.#startAt(range.head);
    return true;
  }

  #startAt(head: number): void {
    this.deliveredSeq = head;
    this.#isStarted = true;
    this.#isReading = false;
    this.advance(this.#announcedSeq);
  }

  /** Returns false if the notice is dropped. */
  #receive(notice: Notice): boolean {
    if (notice.kind === 'ephemeral') return this.#receiveEphemeral(notice.ephemeral);
    if (notice.kind === 'event') this.#receiveEvent(notice.envelope);
    else this.advance(notice.seq);
    return true;
  }

  #receiveEvent(envelope: Envelope): void {
    const { seq } = envelope;
    const isHolding = this.#heldSeq > this.deliveredSeq;
    if (this.#isReading || seq !== (isHolding ? this.#heldSeq : this.deliveredSeq) + 1) this.advance(seq);
    // Events of an account end its sessions, and wait for nothing.
    else if (!this.#deps.gate.mustHold || isAccountTopic(this.#topic)) this.#deliver(envelope);
    else if (this.#hold(envelope)) this.#heldSeq = seq;
    else this.advance(seq);
  }

  /** Delivers the event after the next comparison. Returns false if too many events wait for it. */
  #hold(envelope: Envelope): boolean {
    const { seq, event } = envelope;
    const run = this.#run;
    return this.#deps.gate.hold(approximateSize(event), () => {
      if (this.#stopped || this.#run !== run) return;
      if (this.#heldSeq === seq) this.#heldSeq = 0;
      if (!this.#isReading && seq === this.deliveredSeq + 1) this.#deliver(envelope);
      // Newer ones may have been announced meanwhile.
      this.advance(seq);
    });
  }

  #receiveEphemeral(ephemeral: Ephemeral): boolean {
    return deliverEphemeral(this.#deps.gate, ephemeral, () =>
      this.#notify((follower) => follower.onEphemeral?.(ephemeral)),
    );
  }

  #notify(call: (follower: Follower) => void): void {
    for (const follower of this.#followers) {
      try {
        call(follower);
      } catch (error) {
        this.#deps.log.error({ err: error, topic: this.#topic }, 'topic follower threw');
      }
    }
  }

  #deliver(envelope: Envelope): void {
    this.deliveredSeq = envelope.seq;
    this.#deps.onEvent?.(envelope);
    this.#notify((follower) => follower.onEvent?.(envelope));
  }

  /**
   * Reads missed events from the log. Newer events that arrive during the reads only raise `#announcedSeq`, to preserve
   * the order.
   */
  async #readMissing(): Promise<void> {
    this.#isReading = true;
    this.#readError = undefined;
    const run = this.#run;
    try {
      while (this.deliveredSeq < this.#announcedSeq && !this.#stopped) {
        await this.#readPage();
        if (run !== this.#run) return;
      }
      // No await between the last check of `#announcedSeq` and this: a notice in between would start no further read.
      this.#isReading = false;
      this.#deps.accountsBehind.delete(this);
    } catch (error) {
      if (this.#stopped || run !== this.#run) return;
      this.#readError = error;
      this.#deps.log.warn({ err: error, topic: this.#topic }, 'reading the event log failed, retrying');
      this.#retry = setTimeout(() => {
        this.#reading = this.#readMissing();
      }, RETRY_MS);
    }
  }

  async #readPage(): Promise<void> {
    const announcedBefore = this.#announcedSeq;
    const run = this.#run;
    const { eventLog, controlLog } = this.#deps;
    // Comparisons, and with them all deliveries, wait for the events of accounts.
    const log = isAccountTopic(this.#topic) ? controlLog : eventLog;
    const page = await this.readAfter(this.deliveredSeq, PAGE_SIZE, log);
    if (this.#stopped || run !== this.#run) return;
    if (page !== undefined && page.range.trimmed > this.deliveredSeq) {
      this.deliveredSeq = page.range.trimmed;
      this.#notify((follower) => follower.onGap?.());
    }
    for (const entry of page?.entries ?? [])
      if (entry.seq === this.deliveredSeq + 1) this.#deliver(toEnvelope(entry));
    const head = Math.max(page?.range.head ?? 0, this.deliveredSeq);
    // Events are announced after their commit: one that was announced before this read and is not in the page does not
    // exist. One that was announced during the read may be newer than the page.
    if (this.#announcedSeq === announcedBefore) this.#announcedSeq = Math.min(this.#announcedSeq, head);
  }
}
