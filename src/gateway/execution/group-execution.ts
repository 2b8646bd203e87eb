import type { ExecutionResult } from 'graphql';
import type { Envelope } from '../../events/event.ts';
import type { EventStream, ListUpcoming, StreamItem } from '../../events/stream.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import type { SharedResult } from './shared-results.ts';

/** Events of one group that are queued behind the execution of an earlier one. Beyond it the members read the log. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;

/** An operation whose results are the same for every subscriber with the same key. */
export interface SharedOperation {
  readonly key: string;
  /** `listUpcoming` returns the items that are queued behind it. */
  execute(item: StreamItem, listUpcoming: ListUpcoming): ExecutionResult | Promise<ExecutionResult>;
}

interface GroupExecutionOptions extends Pick<EventStream, 'topic' | 'itemOf' | 'sizeOf'> {
  readonly turnClock: TurnClock;
  /** Called for each event, in order; without a result if clients do not see it. */
  readonly onExecuted: (envelope: Envelope, result: SharedResult | undefined) => void;
  readonly onFailed: (error: unknown) => void;
  /** Called when the queue was full, and its events were dropped. */
  readonly onFull: (queuedBytes: number) => void;
}

/** Executes the operation of a group for each event, in order. */
export class GroupExecution {
  queuedBytes = 0;
  readonly #operation: SharedOperation;
  readonly #options: GroupExecutionOptions;
  #queue: Envelope[] = [];
  /** Why the queue waits: for the end of an execution, or for a turn of the event loop. */
  #waitsFor: 'execution' | 'turn' | undefined;

  constructor(operation: SharedOperation, options: GroupExecutionOptions) {
    this.#operation = operation;
    this.#options = options;
  }

  push(envelope: Envelope): void {
    this.#queue.push(envelope);
    this.queuedBytes += this.#options.sizeOf(envelope);
    if (this.queuedBytes > MAX_QUEUED_BYTES) {
      const { queuedBytes } = this;
      this.clear();
      this.#options.onFull(queuedBytes);
    }
    this.#executeQueued();
  }

  clear(): void {
    this.#queue = [];
    this.queuedBytes = 0;
  }

  /** Executes what is queued for a turn. */
  flush(): void {
    if (this.#waitsFor !== 'turn') return;
    this.#waitsFor = undefined;
    while (this.#waitsFor === undefined && this.#queue.length > 0) this.#executeNext();
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
    void this.#options.turnClock.nextTurn(this.#options.topic).then(() => {
      if (this.#waitsFor !== 'turn') return;
      this.#waitsFor = undefined;
      this.#executeQueued(true);
    });
  }

  #executeNext(): void {
    const envelope = this.#queue.shift();
    if (envelope === undefined) return;
    this.queuedBytes -= this.#options.sizeOf(envelope);
    const item = this.#options.itemOf(envelope);
    if (item === undefined) this.#options.onExecuted(envelope, undefined);
    else this.#execute(envelope, item);
  }

  #execute(envelope: Envelope, item: StreamItem): void {
    const { onExecuted, onFailed } = this.#options;
    const { cursor } = item;
    try {
      const result = this.#operation.execute(item, this.#listUpcoming);
      // Most results are synchronous: then no promise is created per event.
      if (!(result instanceof Promise)) return onExecuted(envelope, { result, cursor });
      this.#waitsFor = 'execution';
      void result
        .then((settled) => onExecuted(envelope, { result: settled, cursor }))
        .catch(onFailed)
        .then(() => {
          this.#waitsFor = undefined;
          this.#executeQueued();
        });
    } catch (error) {
      onFailed(error);
    }
  }

  readonly #listUpcoming: ListUpcoming = (limit) =>
    this.#queue.slice(0, limit).flatMap((envelope) => this.#options.itemOf(envelope) ?? []);
}
