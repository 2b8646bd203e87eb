type Work = () => Promise<void>;

/** The received events of one client, handled strictly one after the other. */
export interface InboundQueue {
  readonly length: number;
  readonly bytes: number;
  /** Queues the work. Returns false if the queue is full. */
  push(bytes: number, work: Work): boolean;
  /** Runs the work after everything that is queued. */
  finish(work: Work): void;
  /** Drops the work that has not started, except that of `finish`. */
  drop(): void;
  /** Resolves when the queue is empty and nothing is running. */
  whenIdle(): Promise<void>;
}

export interface InboundQueueOptions {
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Called with the error of failed work; the queue continues. */
  readonly onError: (error: unknown) => void;
}

export function createInboundQueue({ maxEvents, maxBytes, onError }: InboundQueueOptions): InboundQueue {
  let queued: { readonly bytes: number; readonly work: Work }[] = [];
  let finalWork: Work | undefined;
  let bytes = 0;
  let running: Promise<void> | undefined;

  const takeNext = (): Work | undefined => {
    const entry = queued.shift();
    if (entry !== undefined) {
      bytes -= entry.bytes;
      return entry.work;
    }
    const work = finalWork;
    finalWork = undefined;
    return work;
  };
  const runAll = async (): Promise<void> => {
    for (let work = takeNext(); work !== undefined; work = takeNext()) {
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
      startIfIdle();
      return true;
    },
    finish(work) {
      finalWork = work;
      startIfIdle();
    },
    drop() {
      queued = [];
      bytes = 0;
    },
    async whenIdle() {
      while (running !== undefined) await running;
    },
  };
}
