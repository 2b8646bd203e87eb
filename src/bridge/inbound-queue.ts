import type { Priority, TurnClock } from '../lib/turn-clock.ts';

type Work = () => Promise<void>;

/** Queued events beyond which the client's socket is not read until only `RESUME_SHARE` of them are left. */
const HIGH_WATER_MARKS = {
  account: { events: 1_000, bytes: 1024 * 1024 },
  anonymous: { events: 256, bytes: 64 * 1024 },
} as const satisfies Record<Priority, { events: number; bytes: number }>;
const RESUME_SHARE = 0.5;

/** The received events of one client, handled strictly one after the other. */
export interface InboundQueue {
  readonly length: number;
  readonly bytes: number;
  /** Queues the work. Returns false if the queue is full. */
  push(bytes: number, work: Work): boolean;
  /** Checks whether the queue is long, and the socket may be left unread. */
  checkLength(): void;
  /** Runs the work after everything that is queued. */
  finish(work: Work): void;
  /** Drops the work that has not started, except that of `finish`. */
  drop(): void;
  /** Resolves when the queue is empty and nothing is running. */
  whenIdle(): Promise<void>;
}

export interface InboundQueueOptions {
  readonly turnClock: TurnClock;
  readonly priority: () => Priority;
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Whether the socket may be left unread. */
  readonly canPause: () => boolean;
  /** Called when an event has been taken from the queue. */
  readonly onTaken: () => void;
  /** Called when the queue is so long that no more should be read, and when it is short again. */
  readonly onLong: () => void;
  readonly onShort: () => void;
  /** Called with the error of failed work; the queue continues. */
  readonly onError: (error: unknown) => void;
}

export function createInboundQueue({
  turnClock,
  priority,
  maxEvents,
  maxBytes,
  canPause,
  onTaken,
  onLong,
  onShort,
  onError,
}: InboundQueueOptions): InboundQueue {
  let queued: { readonly bytes: number; readonly work: Work }[] = [];
  let finalWork: Work | undefined;
  let bytes = 0;
  let running: Promise<void> | undefined;
  let isLong = false;

  const exceeds = (share: number): boolean => {
    const { events, bytes: marks } = HIGH_WATER_MARKS[priority()];
    return canPause() && (queued.length > events * share || bytes > marks * share);
  };
  const checkLength = (): void => {
    if (isLong === exceeds(isLong ? RESUME_SHARE : 1)) return;
    isLong = !isLong;
    if (isLong) onLong();
    else onShort();
  };

  const takeNext = (): Work | undefined => {
    const entry = queued.shift();
    if (entry !== undefined) {
      bytes -= entry.bytes;
      if (isLong) checkLength();
      onTaken();
      return entry.work;
    }
    const work = finalWork;
    finalWork = undefined;
    return work;
  };
  const runAll = async (): Promise<void> => {
    for (;;) {
      if (turnClock.isOver()) await turnClock.nextTurn(priority());
      // After the wait, during which the queue may have been dropped.
      const work = takeNext();
      if (work === undefined) break;
      try {
        await work();
      } catch (error) {
        onError(error);
      }
    }
    running = undefined;
  };
  const startIfIdle = (): void => {
    running ??= Promise.resolve().then(runAll);
  };

  return {
    get length() {
      return queued.length;
    },
    get bytes() {
      return bytes;
    },
    push(size, work) {
      if (queued.length >= maxEvents || bytes + size > maxBytes) return false;
      queued.push({ bytes: size, work });
      bytes += size;
      checkLength();
      startIfIdle();
      return true;
    },
    checkLength,
    finish(work) {
      finalWork = work;
      startIfIdle();
    },
    drop() {
      queued = [];
      bytes = 0;
      if (isLong) checkLength();
    },
    async whenIdle() {
      while (running !== undefined) await running;
    },
  };
}
