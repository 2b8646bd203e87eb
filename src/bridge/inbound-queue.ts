/** Runs what a client asks for, strictly one after the other. */
export interface EventQueue {
  /** Queues work that weighs so many bytes. False when the queue is full: then it is not taken. */
  push(bytes: number, work: Work): boolean;
  /** Runs this once nothing else is left to run. */
  finish(work: Work): void;
  /** Lets go of what has not begun, except of what finishes. */
  drop(): void;
  /** Resolves once nothing runs or waits. */
  idle(): Promise<void>;
}

type Work = () => Promise<void>;

export interface EventQueueOptions {
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Told what a work threw: the queue goes on. */
  readonly onError: (error: unknown) => void;
}

export function createEventQueue({ maxEvents, maxBytes, onError }: EventQueueOptions): EventQueue {
  let waiting: { readonly bytes: number; readonly work: Work }[] = [];
  let last: Work | undefined;
  let bytes = 0;
  let running: Promise<void> | undefined;

  const next = (): Work | undefined => {
    const entry = waiting.shift();
    if (entry !== undefined) {
      bytes -= entry.bytes;
      return entry.work;
    }
    const work = last;
    last = undefined;
    return work;
  };
  const runAll = async (): Promise<void> => {
    for (let work = next(); work !== undefined; work = next()) {
      try {
        await work();
      } catch (error) {
        onError(error);
      }
    }
    running = undefined;
  };
  const start = (): void => {
    running ??= Promise.resolve().then(runAll);
  };

  return {
    push(weight, work) {
      if (waiting.length >= maxEvents || bytes + weight > maxBytes) return false;
      waiting.push({ bytes: weight, work });
      bytes += weight;
      start();
      return true;
    },
    finish(work) {
      last = work;
      start();
    },
    drop() {
      waiting = [];
      bytes = 0;
    },
    async idle() {
      while (running !== undefined) await running;
    },
  };
}
