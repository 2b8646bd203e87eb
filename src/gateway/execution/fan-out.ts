import type { ExecutionResult } from 'graphql';
import type { Envelope } from '../../events/event.ts';
import type { DetachedReader, EventStream, ListUpcoming, StreamItem } from '../../events/stream.ts';
import type { Follower } from '../../events/tail-source.ts';
import type { Tail, Tails } from '../../events/tail.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import type { Logger } from '../../log.ts';
import type { FallbackReason } from '../collectors.ts';
import type { Metrics } from '../metrics.ts';

/** Events of one group that are queued behind the execution of an earlier one. Beyond it the members read the log. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;

/** The result of one event, the same for every member of a group. */
export interface SharedResult {
  /** Returns the bytes that a transport writes, encoded once per encoder for all members. */
  encoded(encode: Encode): Buffer;
}

type Encode = (result: ExecutionResult, cursor: string) => Buffer;

/** Writes shared results to one subscriber. */
export interface Receiver {
  /** The id of the subscriber's connection, for log lines. */
  readonly connection?: string | undefined;
  /** Writes a result synchronously. Returns false, without writing, when the subscriber's socket is behind. */
  write(result: SharedResult): boolean;
}

/** An operation whose results are the same for every subscriber with the same key. */
export interface SharedOperation {
  readonly key: string;
  /** `listUpcoming` returns the items that are queued behind it. */
  execute(item: StreamItem, listUpcoming: ListUpcoming): ExecutionResult | Promise<ExecutionResult>;
}

/** Groups live subscriptions of one operation on one topic: each event is executed and encoded once per group. */
export interface FanOut {
  /**
   * Joins a stream to the group of its operation. Resolves when the stream has left the group and must be read on its own:
   * it has events to read first, its subscriber is slow, or it has ended. Returns undefined if it has not caught up.
   */
  run(stream: EventStream, operation: SharedOperation, receiver: Receiver): Promise<void> | undefined;
}

export interface FanOutOptions {
  readonly tails: Tails;
  readonly turnClock: TurnClock;
  readonly log: Logger;
  readonly metrics: Pick<
    Metrics,
    'beforeScrape' | 'fallbacks' | 'groups' | 'groupMembers' | 'largestGroup' | 'queuedBytes'
  >;
}

export function createFanOut(options: FanOutOptions): FanOut {
  const groups = new Map<string, Group>();
  const { metrics } = options;

  metrics.beforeScrape(() => {
    const sizes = Array.from(groups.values(), ({ size }) => size);
    metrics.groups.set(sizes.length);
    metrics.groupMembers.set(sizes.reduce((sum, size) => sum + size, 0));
    metrics.largestGroup.set(sizes.reduce((largest, size) => Math.max(largest, size), 0));
    const queued = Array.from(groups.values(), ({ queuedBytes }) => queuedBytes);
    metrics.queuedBytes.set(
      { queue: 'group' },
      queued.reduce((sum, bytes) => sum + bytes, 0),
    );
  });

  return {
    run(stream, operation, receiver) {
      if (!stream.isCaughtUp()) return undefined;
      const name = `${stream.topic} ${operation.key}`;
      const group = groups.get(name) ?? new Group(options, stream, operation, () => groups.delete(name));
      groups.set(name, group);
      return group.run(stream, receiver);
    },
  };
}

/** A stream in a group. A class, like all that an idle subscription holds: closures would take more memory. */
class Member {
  readonly group: Group;
  readonly reader: DetachedReader;
  readonly receiver: Receiver;
  readonly #onLeft: () => void;

  constructor(group: Group, reader: DetachedReader, receiver: Receiver, onLeft: () => void) {
    this.group = group;
    this.reader = reader;
    this.receiver = receiver;
    this.#onLeft = onLeft;
  }

  /** Reattaches the stream to its topic; a second call has no effect. */
  leave(): void {
    if (!this.group.remove(this)) return;
    this.reader.reattach();
    this.#onLeft();
    this.group.release();
  }
}

class Group {
  queuedBytes = 0;
  readonly #options: FanOutOptions;
  readonly #operation: SharedOperation;
  readonly #onClosed: () => void;
  readonly #topic: EventStream['topic'];
  readonly #itemOf: EventStream['itemOf'];
  readonly #sizeOf: EventStream['sizeOf'];
  readonly #members = new Set<Member>();
  /** Number of streams that are in the group or about to join it; closed when there are none. */
  #references = 0;
  /** Resolves to whether the group could open the tail of its topic. */
  readonly #opened: Promise<boolean>;
  #isOpen = false;
  #queue: Envelope[] = [];
  /** Why the queue waits: for the end of an execution, or for a turn of the event loop. */
  #waitsFor: 'execution' | 'turn' | undefined;
  #isClosed = false;
  #unfollow: (() => void) | undefined;

  constructor(options: FanOutOptions, stream: EventStream, operation: SharedOperation, onClosed: () => void) {
    this.#options = options;
    this.#operation = operation;
    this.#onClosed = onClosed;
    // The stream itself is not retained: the group outlives it.
    const { topic, itemOf, sizeOf } = stream;
    this.#topic = topic;
    this.#itemOf = itemOf;
    this.#sizeOf = sizeOf;
    this.#opened = this.#follow(options.tails);
  }

  get size(): number {
    return this.#members.size;
  }

  /** Adds a stream if it can be detached. Resolves when it has left; undefined if it was not added. */
  run(stream: EventStream, receiver: Receiver): Promise<void> | undefined {
    // Counted before the tail is open, so that the group is not closed meanwhile.
    this.#references += 1;
    return this.#isOpen ? this.#join(stream, receiver) : this.#joinWhenOpen(stream, receiver);
  }

  remove(member: Member): boolean {
    return this.#members.delete(member);
  }

  release(): void {
    this.#references -= 1;
    if (this.#references > 0) return;
    this.#onClosed();
    this.#isClosed = true;
    this.#clearQueue();
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
      if (awaitsLastEvent) this.#flush();
      member?.leave();
    });
    if (reader === undefined) {
      this.release();
      return undefined;
    }
    return new Promise((resolve) => {
      member = new Member(this, reader, receiver, resolve);
      this.#members.add(member);
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
      onEvent: (envelope) => this.#enqueue(envelope),
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

  #enqueue(envelope: Envelope): void {
    this.#queue.push(envelope);
    this.queuedBytes += this.#sizeOf(envelope);
    if (this.queuedBytes > MAX_QUEUED_BYTES) {
      const { queuedBytes, size } = this;
      this.#options.log.warn({ topic: this.#topic, queuedBytes, members: size }, 'shared execution too slow');
      this.#clearQueue();
      this.#fallBackAll('QUEUE_FULL');
    }
    this.#executeQueued();
  }

  #clearQueue(): void {
    this.#queue = [];
    this.queuedBytes = 0;
  }

  /** In turns of the event loop: one event may be executed for thousands of groups. */
  #executeQueued(isTurnStart = false): void {
    for (
      let mayStart = isTurnStart;
      this.#waitsFor === undefined && this.#queue.length > 0;
      mayStart = false
    ) {
      if (!mayStart && this.#options.turnClock.isOver()) return this.#waitForTurn();
      this.#executeNext();
    }
  }

  #waitForTurn(): void {
    this.#waitsFor = 'turn';
    void this.#options.turnClock.nextTurn('account').then(() => {
      if (this.#waitsFor !== 'turn') return;
      this.#waitsFor = undefined;
      this.#executeQueued(true);
    });
  }

  /** Delivers what is queued for a turn. */
  #flush(): void {
    if (this.#waitsFor !== 'turn') return;
    this.#waitsFor = undefined;
    while (this.#waitsFor === undefined && this.#queue.length > 0) this.#executeNext();
  }

  #executeNext(): void {
    const envelope = this.#queue.shift();
    if (envelope === undefined) return;
    this.queuedBytes -= this.#sizeOf(envelope);
    const item = this.#itemOf(envelope);
    if (item === undefined) this.#deliver(envelope, undefined);
    else this.#execute(envelope, item);
  }

  #execute(envelope: Envelope, item: StreamItem): void {
    try {
      const result = this.#operation.execute(item, this.#listUpcoming);
      // Most results are synchronous: then no promise is created per event.
      if (!(result instanceof Promise)) return this.#deliver(envelope, createSharedResult(item, result));
      this.#waitsFor = 'execution';
      void result
        .then((settled) => this.#deliver(envelope, createSharedResult(item, settled)))
        .catch((error: unknown) => this.#failAll(error))
        .then(() => {
          this.#waitsFor = undefined;
          this.#executeQueued();
        });
    } catch (error) {
      this.#failAll(error);
    }
  }

  readonly #listUpcoming: ListUpcoming = (limit) =>
    this.#queue.slice(0, limit).flatMap((envelope) => this.#itemOf(envelope) ?? []);

  /** Members read the event from the log again, and each receives the error or result of its own execution. */
  #failAll(error: unknown): void {
    this.#options.log.warn({ err: error, topic: this.#topic }, 'shared execution failed');
    this.#fallBackAll('EXECUTION_FAILED');
  }

  #deliver(envelope: Envelope, result: SharedResult | undefined): void {
    for (const member of this.#members) {
      const { reader } = member;
      if (envelope.seq <= reader.deliveredSeq) continue;
      const failure = envelope.seq === reader.deliveredSeq + 1 ? this.#write(member, result) : 'GAP';
      if (failure !== undefined) this.#fallBack(member, failure);
      else if (!reader.advance(envelope)) member.leave();
    }
  }

  /** Returns undefined when written. A receiver that throws must not affect the other members. */
  #write({ receiver }: Member, result: SharedResult | undefined): FallbackReason | undefined {
    if (result === undefined) return undefined;
    try {
      return receiver.write(result) ? undefined : 'SLOW';
    } catch (error) {
      const { connection } = receiver;
      this.#options.log.warn({ err: error, connection, topic: this.#topic }, 'shared result not written');
      return 'WRITE_FAILED';
    }
  }

  #fallBack(member: Member, reason: FallbackReason): void {
    this.#options.metrics.fallbacks.inc({ reason });
    const { connection } = member.receiver;
    this.#options.log.debug({ connection, topic: this.#topic, reason }, 'stream fell back to the event log');
    member.leave();
  }

  #fallBackAll(reason: FallbackReason): void {
    for (const member of this.#members) this.#fallBack(member, reason);
  }
}

function createSharedResult({ cursor }: StreamItem, result: ExecutionResult): SharedResult {
  const bodies = new Map<Encode, Buffer>();
  return {
    encoded(encode) {
      const known = bodies.get(encode);
      if (known !== undefined) return known;
      const body = encode(result, cursor);
      bodies.set(encode, body);
      return body;
    },
  };
}
