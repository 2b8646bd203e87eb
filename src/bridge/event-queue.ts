/** Runs what a client asks for, strictly one after the other. */
export interface EventQueue {
  /** Queues work that weighs so many bytes. False when the queue is full: then it is not taken. */
  push(bytes: number, work: () => Promise<void>): boolean;
  /** Queues work whatever the bounds. */
  finish(work: () => Promise<void>): void;
  /** Lets go of what has not begun. */
  drop(): void;
  /** Resolves once nothing runs or waits. */
  idle(): Promise<void>;
}

export interface EventQueueOptions {
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Told what a work threw: the queue goes on. */
  readonly onError: (error: unknown) => void;
}

export function createEventQueue({ maxEvents, maxBytes, onError }: EventQueueOptions): EventQueue {
  let waiting: { bytes: number; work: () => Promise<void> }[] = [];
  let bytes = 0;
  let running: Promise<void> | undefined;

  const runAll = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      bytes -= next.bytes;
      try {
        await next.work();
      } catch (error) {
        onError(error);
      }
    }
    running = undefined;
  };
  const add = (entry: { bytes: number; work: () => Promise<void> }): void => {
    waiting.push(entry);
    bytes += entry.bytes;
    running ??= Promise.resolve().then(runAll);
  };

  return {
    push(weight, work) {
      if (waiting.length >= maxEvents || bytes + weight > maxBytes) return false;
      add({ bytes: weight, work });
      return true;
    },
    finish: (work) => add({ bytes: 0, work }),
    drop() {
      waiting = [];
      bytes = 0;
    },
    async idle() {
      while (running !== undefined) await running;
    },
  };
}
