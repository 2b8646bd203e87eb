import type { ExecutionResult } from 'graphql';
import type { Envelope } from '../../events/event.ts';
import type { EventStream, Detached, StreamItem } from '../../events/stream.ts';
import type { Tail, Tails } from '../../events/tail.ts';
import type { Logger } from '../../log.ts';

/** Of events that wait for the execution of an earlier one. Beyond it the readers go on by themselves, from the log. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** The result of one event as all readers of a group get it. */
export interface SharedResult {
  /** What a transport writes of it, made once for all readers on that transport. */
  encoded(encode: Encode): Buffer;
}

/** Of a result, and where to resume after it. */
type Encode = (result: ExecutionResult, cursor: string) => Buffer;

/** Where a reader gets its results. */
export interface Receiver {
  /** Hands a result over, at once. False when the reader does not keep up: then it was not handed over. */
  write(result: SharedResult): boolean;
}

/** Readers who run the same operation: each event is executed once for all of them. */
export interface SharedOperation {
  /** The same for two operations whose results are the same for every event. */
  readonly key: string;
  execute(item: StreamItem): ExecutionResult | Promise<ExecutionResult>;
}

export interface FanOut {
  /**
   * Serves a reader that is live together with all who run the same operation, and resolves when it must go on by
   * itself: because it has something to read first, does not keep up, or is over.
   */
  run(stream: EventStream, operation: SharedOperation, receiver: Receiver): Promise<void>;
}

interface Member {
  readonly detached: Detached;
  readonly receiver: Receiver;
  /** Gives the place back. */
  leave(): void;
}

interface Group {
  readonly members: Set<Member>;
  /** Resolves when the group hears its topic. */
  readonly tail: Promise<Tail | undefined>;
  /** Those that sit, or are about to. */
  users: number;
  close(): void;
}

export interface FanOutOptions {
  readonly tails: Tails;
  readonly log: Logger;
}

export function createFanOut(options: FanOutOptions): FanOut {
  const groups = new Map<string, Group>();

  const release = (name: string, group: Group): void => {
    group.users -= 1;
    if (group.users > 0) return;
    groups.delete(name);
    group.close();
  };

  return {
    async run(stream, operation, receiver) {
      if (!stream.isCaughtUp()) return;
      const name = `${stream.topic} ${operation.key}`;
      const group = groups.get(name) ?? openGroup(options, stream, operation);
      groups.set(name, group);
      group.users += 1;
      try {
        if ((await group.tail) === undefined) return;
        await join(group, stream, receiver);
      } finally {
        release(name, group);
      }
    },
  };
}

/** Resolves when the reader has no member any more, at once if it cannot take one. */
function join({ members }: Group, stream: EventStream, receiver: Receiver): Promise<void> {
  return new Promise((resolve) => {
    const leave = (): void => {
      if (!members.delete(member)) return;
      member.detached.reattach();
      resolve();
    };
    const detached = stream.detach(leave);
    if (detached === undefined) return resolve();
    const member: Member = { detached, receiver, leave };
    members.add(member);
  });
}

function openGroup(options: FanOutOptions, stream: EventStream, operation: SharedOperation): Group {
  const { topic, itemOf, weightOf } = stream;
  const members = new Set<Member>();
  const leaveAll = (): void => {
    for (const member of members) member.leave();
  };
  const deliver = (envelope: Envelope, result: SharedResult | undefined): void => {
    for (const member of members) {
      const { detached } = member;
      if (envelope.seq <= detached.position) continue;
      // One that lacks an event reads it from the log.
      const isNext = envelope.seq === detached.position + 1;
      if (!isNext || !(result === undefined || deliverTo(member, result, options.log))) member.leave();
      else if (!detached.advance(envelope)) member.leave();
    }
  };

  let waiting: Envelope[] = [];
  let waitingBytes = 0;
  const forget = (): void => {
    waiting = [];
    waitingBytes = 0;
  };
  let executing = false;
  const executeAll = (): void => {
    while (!executing) {
      const envelope = waiting.shift();
      if (envelope === undefined) return;
      waitingBytes -= weightOf(envelope);
      const item = itemOf(envelope);
      if (item === undefined) deliver(envelope, undefined);
      else execute(envelope, item);
    }
  };
  const execute = (envelope: Envelope, item: StreamItem): void => {
    try {
      const result = operation.execute(item);
      if (!(result instanceof Promise)) return deliver(envelope, sharedResult(item, result));
      executing = true;
      void result
        .then((settled) => deliver(envelope, sharedResult(item, settled)))
        .catch(failed)
        .then(() => {
          executing = false;
          executeAll();
        });
    } catch (error) {
      failed(error);
    }
  };
  /** Each reader goes on by itself, and finds out what is wrong. */
  const failed = (error: unknown): void => {
    options.log.warn({ err: error, topic }, 'an event could not be executed for many readers at once');
    leaveAll();
  };

  let closed = false;
  let stop = (): void => undefined;
  const follow = async (): Promise<Tail | undefined> => {
    const tail = await options.tails.open(topic);
    if (tail === undefined) return undefined;
    if (closed) {
      tail.close();
      return undefined;
    }
    const unfollow = tail.follow({
      event(envelope) {
        waiting.push(envelope);
        waitingBytes += weightOf(envelope);
        if (waitingBytes > MAX_WAITING_BYTES) {
          forget();
          leaveAll();
        }
        executeAll();
      },
      gap: leaveAll,
    });
    stop = () => {
      unfollow();
      tail.close();
    };
    return tail;
  };
  return {
    members,
    tail: follow(),
    users: 0,
    close() {
      closed = true;
      forget();
      stop();
    },
  };
}

/** What goes wrong with one reader concerns no other. */
function deliverTo({ receiver }: Member, result: SharedResult, log: Logger): boolean {
  try {
    return receiver.write(result);
  } catch (error) {
    log.warn({ err: error }, 'a result could not be handed to its reader');
    return false;
  }
}

function sharedResult({ cursor }: StreamItem, result: ExecutionResult): SharedResult {
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
