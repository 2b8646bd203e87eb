import { startTimer as startSystemTimer } from './timeout.ts';
import type { StartTimer } from './timeout.ts';

export interface LineLimitOptions<Kind> {
  /** Lines of one kind in each minute. */
  readonly maxLines: number;
  /** Called at the end of a minute, with the number of further lines by kind. */
  readonly onWindowEnd: (dropped: ReadonlyMap<Kind, number>) => void;
  readonly startTimer?: StartTimer | undefined;
}

const WINDOW_MS = 60_000;

/** Bounds the log lines that clients can cause: each kind to a number of lines a minute. Counts those beyond it. */
export class LineLimit<Kind> implements Disposable {
  readonly #maxLines: number;
  readonly #onWindowEnd: LineLimitOptions<Kind>['onWindowEnd'];
  readonly #startTimer: StartTimer;
  #lines = new Map<Kind, number>();
  #dropped = new Map<Kind, number>();
  #cancelWindow: (() => void) | undefined;

  constructor({ maxLines, onWindowEnd, startTimer = startSystemTimer }: LineLimitOptions<Kind>) {
    this.#maxLines = maxLines;
    this.#onWindowEnd = onWindowEnd;
    this.#startTimer = startTimer;
  }

  /** Whether a line may be written. If not, it is counted. */
  admit(kind: Kind): boolean {
    this.#cancelWindow ??= this.#startTimer(WINDOW_MS, () => this.#endWindow());
    const lines = this.#lines.get(kind) ?? 0;
    const counts = lines < this.#maxLines ? this.#lines : this.#dropped;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts === this.#lines;
  }

  /** Ends the current minute. */
  [Symbol.dispose](): void {
    if (this.#cancelWindow === undefined) return;
    this.#cancelWindow();
    this.#endWindow();
  }

  #endWindow(): void {
    const dropped = this.#dropped;
    this.#cancelWindow = undefined;
    this.#lines = new Map();
    this.#dropped = new Map();
    this.#onWindowEnd(dropped);
  }
}
