import type { Envelope } from '../../events/event.ts';
import type { DetachedReader, EventStream } from '../../events/stream.ts';
import type { Follower } from '../../events/tail-source.ts';
import type { Tail, Tails } from '../../events/tail.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import type { TurnEnd } from '../../lib/turn-end.ts';
import type { Logger } from '../../log.ts';
import type { FallbackReason } from '../collectors.ts';
import type { Metrics } from '../metrics.ts';
import { GroupExecution } from './group-execution.ts';
import type { SharedOperation } from './group-execution.ts';
import { UndeliveredResults } from './shared-results.ts';
import type { SharedResult, SharedResults } from './shared-results.ts';

/** Events whose results wait for the end of the turn. Beyond it they are delivered immediately. */
const MAX_UNDELIVERED_BYTES = 256 * 1024;
/** Longest time for which one turn delivers several results to the members of a group. */
const DELIVERY_SLICE_MS = 10;

/** A subscription in a group. */
export interface Membership {
  /** Writes the results that wait for the end of the turn. */
  deliver(): void;
}

/** Writes shared results to one subscriber. */
export interface Receiver {
  /** The id of the subscriber's connection, for log lines. */
  readonly connection?: string | undefined;
  /** Set while the subscription is in a group: its results come before anything that is written for it meanwhile. */
  membership?: Membership | undefined;
  /** Writes the results synchronously, in order, until the subscriber's socket is behind. Returns how many it has written. */
  write(results: SharedResults): number;
}

export interface FanOutOptions {
  readonly tails: Tails;
  readonly turnClock: TurnClock;
  readonly turnEnd: TurnEnd;
  readonly log: Logger;
  readonly metrics: Pick<
    Metrics,
    'beforeScrape' | 'fallbacks' | 'groups' | 'groupMembers' | 'largestGroup' | 'queuedBytes'
  >;
}

/** Live subscriptions of one operation on one topic: each event is executed and encoded once. */
export class FanOutGroup {
  readonly #options: FanOutOptions;
  readonly #onClosed: () => void;
  readonly #topic: EventStream['topic'];
  readonly #sizeOf: EventStream['sizeOf'];
  readonly #execution: GroupExecution;
  readonly #members = new Set<Member>();
  /** Number of streams that are in the group or about to join it; closed when there are none. */
  #references = 0;
  /** Resolves to whether the group could open the tail of its topic. */
  readonly #opened: Promise<boolean>;
  #isOpen = false;
  readonly #undelivered = new UndeliveredResults();
  /** A delivery that has used its time of the turn: the members that are left, and how many events all will have received. */
  #delivery: { readonly members: Iterator<Member>; readonly length: number } | undefined;
  #isClosed = false;
  #unfollow: (() => void) | undefined;

  constructor(options: FanOutOptions, stream: EventStream, operation: SharedOperation, onClosed: () => void) {
    this.#options = options;
    this.#onClosed = onClosed;
    // The stream itself is not retained: the group outlives it.
    const { topic, itemOf, sizeOf } = stream;
    this.#topic = topic;
    this.#sizeOf = sizeOf;
    this.#execution = new GroupExecution(operation, {
      topic,
      itemOf,
      sizeOf,
      turnClock: options.turnClock,
      onExecuted: (envelope, result) => this.#addUndelivered(envelope, result),
      onFailed: (error) => this.#failAll(error),
      onFull: (queuedBytes) => this.#fallBackOfQueue(queuedBytes),
    });
    this.#opened = this.#follow(options.tails);
  }

  get size(): number {
    return this.#members.size;
  }

  /** The approximate bytes of the events that are not delivered to all members. */
  get queuedBytes(): number {
    return this.#execution.queuedBytes + this.#undelivered.bytes;
  }

  /** Adds a stream if it can be detached. Resolves when it has left; undefined if it was not added. */
  run(stream: EventStream, receiver: Receiver): Promise<void> | undefined {
    // Counted before the tail is open, so that the group is not closed meanwhile.
    this.#references += 1;
    return this.#isOpen ? this.#join(stream, receiver) : this.#joinWhenOpen(stream, receiver);
  }

  /** Removes a member. Returns false if it has left before. */
  remove(member: Member): boolean {
    return this.#members.delete(member);
  }

  /** Delivers what is executed to one member. */
  deliverTo(member: Member): void {
    const { reader } = member;
    const undelivered = this.#undelivered;
    const from = undelivered.indexAfter(reader.deliveredSeq);
    const first = undelivered.at(from);
    if (first === undefined) return;
    if (first.envelope.seq !== reader.deliveredSeq + 1) return this.#fallBack(member, 'GAP');
    let to = from + 1;
    for (let last = first; !reader.endsAccess(last.envelope); to += 1) {
      const next = undelivered.at(to);
      if (next === undefined) break;
      last = next;
    }
    const written = this.#write(member, undelivered.resultsOf(from, to));
    this.#advance(member, from, to, written);
  }

  release(): void {
    this.#references -= 1;
    if (this.#references > 0) return;
    this.#onClosed();
    this.#isClosed = true;
    this.#execution.clear();
    this.#unfollow?.();
  }

  async #joinWhenOpen(stream: EventStream, receiver: Receiver): Promise<void> {
    let isOpen = false;
    try {
      isOpen = await this.#opened;
    } finally {
      if (!isOpen) this.release();
    }
    return isOpen ? this.#join(stream, receiver) : undefined;
  }

  #join(stream: EventStream, receiver: Receiver): Promise<void> | undefined {
    let member: Member | undefined;
    const reader = stream.detach((awaitsLastEvent) => {
      // In the log, the event is redacted.
      if (awaitsLastEvent) this.#execution.flush();
      member?.deliver();
      member?.leave();
    });
    if (reader === undefined) {
      this.release();
      return undefined;
    }
    return new Promise((resolve) => {
      member = new Member(this, reader, receiver, resolve);
      this.#members.add(member);
      receiver.membership = member;
    });
  }

  async #follow(tails: Tails): Promise<boolean> {
    const tail: Tail | undefined = await tails.open(this.#topic);
    if (tail === undefined) return false;
    if (this.#isClosed) {
      tail.close();
      return false;
    }
    const follower: Follower = {
      onEvent: (envelope) => this.#execution.push(envelope),
      onGap: () => this.#fallBackAll('GAP'),
    };
    tail.follow(follower);
    this.#unfollow = () => {
      tail.unfollow(follower);
      tail.close();
    };
    this.#isOpen = true;
    return true;
  }

  #fallBackOfQueue(queuedBytes: number): void {
    const { size } = this;
    this.#options.log.warn({ topic: this.#topic, queuedBytes, members: size }, 'shared execution too slow');
    this.#fallBackAll('QUEUE_FULL');
  }

  /** Members read the event from the log again, and each receives the error or result of its own execution. */
  #failAll(error: unknown): void {
    this.#options.log.warn({ err: error, topic: this.#topic }, 'shared execution failed');
    this.#fallBackAll('EXECUTION_FAILED');
  }

  #addUndelivered(envelope: Envelope, result: SharedResult | undefined): void {
    this.#undelivered.push({ envelope, result, bytes: this.#sizeOf(envelope) });
    if (this.#undelivered.bytes > MAX_UNDELIVERED_BYTES) this.#deliverAll();
    else this.#options.turnEnd.call(this.#deliverInTurns);
  }

  /** A single result is delivered to all members in one turn; of several, a member may receive many times the bytes. */
  readonly #deliverInTurns = (): void => {
    const { length } = this.#undelivered;
    if (length > 0) this.#deliverUntil(length > 1 ? performance.now() + DELIVERY_SLICE_MS : Infinity);
  };

  #deliverAll(): void {
    while (this.#undelivered.length > 0) this.#deliverUntil(Infinity);
  }

  #deliverUntil(endsAt: number): void {
    this.#delivery ??= { members: this.#members.values(), length: this.#undelivered.length };
    const { members, length } = this.#delivery;
    for (let next = members.next(); next.done !== true; next = members.next()) {
      this.deliverTo(next.value);
      if (endsAt < Infinity && performance.now() > endsAt)
        return this.#options.turnEnd.call(this.#deliverInTurns);
    }
    this.#delivery = undefined;
    this.#undelivered.remove(length);
    if (this.#undelivered.length > 0) this.#options.turnEnd.call(this.#deliverInTurns);
  }

  /** Returns how many results were written, or undefined. A receiver that throws must not affect the other members. */
  #write({ receiver }: Member, results: SharedResults): number | undefined {
    if (results.length === 0) return 0;
    try {
      return receiver.write(results);
    } catch (error) {
      const { connection } = receiver;
      this.#options.log.warn({ err: error, connection, topic: this.#topic }, 'shared result not written');
      return undefined;
    }
  }

  /** Records what was written to a member; it leaves when that is not all, or when it has lost its access. */
  #advance(member: Member, from: number, to: number, written: number | undefined): void {
    let left = written ?? 0;
    for (let index = from; index < to; index += 1) {
      const executed = this.#undelivered.at(index);
      if (executed === undefined) return;
      if (executed.result !== undefined) {
        if (left === 0) return this.#fallBack(member, written === undefined ? 'WRITE_FAILED' : 'SLOW');
        left -= 1;
      }
      if (!member.reader.advance(executed.envelope)) return member.leave();
    }
  }

  #fallBack(member: Member, reason: FallbackReason): void {
    this.#options.metrics.fallbacks.inc({ reason });
    const { connection } = member.receiver;
    this.#options.log.debug({ connection, topic: this.#topic, reason }, 'stream fell back to the event log');
    member.leave();
  }

  /** Delivers what is executed, and then leaves the members to the log. */
  #fallBackAll(reason: FallbackReason): void {
    this.#deliverAll();
    for (const member of this.#members) this.#fallBack(member, reason);
  }
}

/** A stream in a group. A class, like all that an idle subscription holds: closures would take more memory. */
class Member implements Membership {
  readonly reader: DetachedReader;
  readonly receiver: Receiver;
  readonly #group: FanOutGroup;
  readonly #onLeft: () => void;

  constructor(group: FanOutGroup, reader: DetachedReader, receiver: Receiver, onLeft: () => void) {
    this.#group = group;
    this.reader = reader;
    this.receiver = receiver;
    this.#onLeft = onLeft;
  }

  deliver(): void {
    this.#group.deliverTo(this);
  }

  /** Reattaches the stream to its topic; a second call has no effect. */
  leave(): void {
    if (!this.#group.remove(this)) return;
    this.receiver.membership = undefined;
    this.reader.reattach();
    this.#onLeft();
    this.#group.release();
  }
}
