import { TurnClock } from '../../src/lib/turn-clock.ts';

/** A clock whose turns are over, and are followed by no other, while it is busy. */
export class BusyClock extends TurnClock {
  readonly #waiting: (() => void)[] = [];
  #isBusy: boolean;

  constructor(isBusy: boolean) {
    super();
    this.#isBusy = isBusy;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  override isOver(): boolean {
    return this.#isBusy;
  }

  override nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  setBusy(isBusy: boolean): void {
    this.#isBusy = isBusy;
    if (!isBusy) for (const resume of this.#waiting.splice(0)) resume();
  }
}
