import { nextTick } from 'node:process';
import type { Writable } from 'node:stream';

/**
 * The end of the current turn of the event loop, when what was sent to sockets in it leaves: once for each socket. Work that
 * waits for it (`over`) continues in the same turn, and what that writes leaves right after it.
 */
export class TurnEnd {
  #callbacks = new Set<() => void>();
  #corked: Writable[] = [];
  #over: PromiseWithResolvers<void> | undefined;
  #isScheduled = false;

  /** Whether callbacks wait for the end. */
  get isAwaited(): boolean {
    return this.#callbacks.size > 0;
  }

  /** Calls back at the end of the turn, once, however often it is called, and before the corked streams are written. */
  call(callback: () => void): void {
    this.#callbacks.add(callback);
    this.#schedule();
  }

  /** Holds what is written to the stream until the end of the turn, and then writes it together. */
  cork(stream: Writable): void {
    if (stream.writableCorked > 0) return;
    stream.cork();
    this.#corked.push(stream);
    this.#schedule();
  }

  /** Resolves once what was sent in this turn has been written. */
  over(): Promise<void> {
    this.#schedule();
    this.#over ??= Promise.withResolvers<void>();
    return this.#over.promise;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#end());
  }

  #end(): void {
    this.#write();
    const over = this.#over;
    if (over === undefined) return this.#finish();
    this.#over = undefined;
    over.resolve();
    // After the microtasks that have waited.
    queueMicrotask(() =>
      nextTick(() => {
        this.#write();
        this.#finish();
      }),
    );
  }

  #finish(): void {
    this.#isScheduled = false;
    if (this.isAwaited || this.#corked.length > 0 || this.#over !== undefined) this.#schedule();
  }

  #write(): void {
    const [callbacks, corked] = [this.#callbacks, this.#corked];
    this.#callbacks = new Set();
    this.#corked = [];
    for (const callback of callbacks) callback();
    for (const stream of corked) stream.uncork();
  }
}
