import type { ExecutionResult } from 'graphql';
import type { Envelope } from '../../events/event.ts';
import type { DetachedReader, EventStream, StreamItem } from '../../events/stream.ts';
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
  execute(item: StreamItem): ExecutionResult | Promise<ExecutionResult>;
}

/** Groups live subscriptions of one operation on one topic: each event is executed and encoded once per group. */
export interface FanOut {
  /**
   * Joins a stream that has caught up to the group of its operation. Resolves when the stream has left the group and
   * must be read on its own: it has events to read first, its subscriber is slow, or it has ended.
   */
  run(stream: EventStream, operation: SharedOperation, receiver: Receiver): Promise<void>;
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

  const release = (name: string, group: Group): void => {
    group.references -= 1;
    if (group.references > 0) return;
    groups.delete(name);
    group.close();
  };

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
    async run(stream, operation, receiver) {
      if (!stream.isCaughtUp()) return;
      const name = `${stream.topic} ${operation.key}`;
      const group = groups.get(name) ?? new Group(options, stream, operation);
      groups.set(name, group);
      // Counted before the await, so that the group is not closed while its tail opens.
      group.references += 1;
      try {
        if (await group.opened) await group.join(stream, receiver);
      } finally {
        release(name, group);
      }
    },
  };
}

interface Member {
  readonly reader: DetachedReader;
  readonly receiver: Receiver;
  /** Reattaches the stream to its topic; a second call has no effect. */
  leave(): void;
}

class Group {
  /** Number of streams that are in the group or about to join it; closed when there are none. */
  references = 0;
  queuedBytes = 0;
  /** Resolves to whether the group could open the tail of its topic. */
  readonly opened: Promise<boolean>;
  readonly #options: FanOutOptions;
  readonly #operation: SharedOperation;
  readonly #topic: EventStream['topic'];
  readonly #itemOf: EventStream['itemOf'];
  readonly #sizeOf: EventStream['sizeOf'];
  readonly #members = new Set<Member>();
  #queue: Envelope[] = [];
  /** Why the queue waits: for the end of an execution, or for a turn of the event loop. */
  #waitsFor: 'execution' | 'turn' | undefined;
  #isClosed = false;
  #unfollow: (() => void) | undefined;

  constructor(options: FanOutOptions, stream: EventStream, operation: SharedOperation) {
    this.#options = options;
    this.#operation = operation;
    // The stream itself is not retained: the group outlives it.
    const { topic, itemOf, sizeOf } = stream;
    this.#topic = topic;
    this.#itemOf = itemOf;
    this.#sizeOf = sizeOf;
    this.opened = this.#follow(options.tails);
  }

  get size(): number {
    return this.#members.size;
  }

  /** Adds a stream if it can be detached. Resolves when it has left. */
  join(stream: EventStream, receiver: Receiver): Promise<void> {
    return new Promise((resolve) => {
      const leave = (): void => {
        if (!this.#members.delete(member)) return;
        member.reader.reattach();
        resolve();
      };
      const reader = stream.detach((awaitsLastEvent) => {
        // In the log, the event is redacted.
        if (awaitsLastEvent) this.#flush();
        leave();
      });
      if (reader === undefined) return resolve();
      const member: Member = { reader, receiver, leave };
      this.#members.add(member);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#clearQueue();
    this.#unfollow?.();
  }

  async #follow(tails: Tails): Promise<boolean> {
    const tail: Tail | undefined = await tails.open(this.#topic);
    if (tail === undefined) return false;
    if (this.#isClosed) {
      tail.close();
      return false;
    }
    const unfollow = tail.follow({
      onEvent: (envelope) => this.#enqueue(envelope),
      onGap: () => this.#fallBackAll('GAP'),
    });
    this.#unfollow = () => {
      unfollow();
      tail.close();
    };
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
      const result = this.#operation.execute(item);
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
