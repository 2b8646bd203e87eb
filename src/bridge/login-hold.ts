type Work = () => Promise<void>;

/** Holds what a fresh socket sends before it has authenticated (contract decision 20). */
export interface LoginHold {
  /**
   * Holds the event until the hold ends. False when it has ended, or when nothing is held and the event needs no login:
   * then it runs now. An event that needs none waits behind what is held, as events run in order.
   */
  take(event: HeldEvent): boolean;
  /** Ends the hold, and passes on what is held, in order. A second call does nothing. */
  end(): void;
  /** Ends the hold, and discards what is held. */
  drop(): void;
}

export interface HeldEvent {
  readonly needsLogin: boolean;
  readonly bytes: number;
  readonly work: Work;
  /** Set when the client may be waiting for it before it sends anything else. */
  readonly acknowledge?: (() => void) | undefined;
}

export interface HoldOptions {
  /** From the connect on. */
  readonly ms: number;
  /** Beyond either bound the hold ends: what is held is then refused like everything before a login. */
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly onRelease: (event: HeldEvent) => void;
}

/** A client that has more to send has sent it by then. */
const QUIET_MS = 250;

/** Begins at the connect: clients from 2.1 on send what was written offline before the app can authenticate. */
export const createLoginHold = (options: HoldOptions): LoginHold => new HoldOf(options);

class HoldOf implements LoginHold {
  readonly #options: HoldOptions;
  readonly #timer: NodeJS.Timeout;
  #quiet: NodeJS.Timeout | undefined;
  #held: HeldEvent[] = [];
  #bytes = 0;
  #isOver = false;
  /** The client sends one event at a time. */
  #isOneByOne = false;

  constructor(options: HoldOptions) {
    this.#options = options;
    // An `authenticate` that has arrived is read first: after a busy second timers come before sockets.
    this.#timer = setTimeout(() => setImmediate(() => this.end()), options.ms);
    this.#timer.unref();
  }

  take(event: HeldEvent): boolean {
    if (this.#isOver || (this.#held.length === 0 && !event.needsLogin)) return false;
    this.#held.push(event);
    this.#bytes += event.bytes;
    const { maxEvents, maxBytes } = this.#options;
    if (this.#held.length > maxEvents || this.#bytes > maxBytes) this.end();
    else this.#acknowledgeWhenQuiet(event);
    return true;
  }

  end(): void {
    const events = this.#held;
    this.drop();
    for (const event of events) this.#options.onRelease(event);
  }

  drop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    this.#held = [];
  }

  /** With `retries`, socket.io-client sends nothing, `authenticate` included, before the last event is acknowledged. */
  #acknowledgeWhenQuiet({ acknowledge }: HeldEvent): void {
    clearTimeout(this.#quiet);
    if (acknowledge === undefined) return void (this.#isOneByOne = false);
    if (this.#isOneByOne) return acknowledge();
    if (this.#held.length > 1) return;
    this.#quiet = setTimeout(() => {
      this.#isOneByOne = true;
      // What is acknowledged is not refused for want of a login: it waits for one.
      clearTimeout(this.#timer);
      acknowledge();
    }, QUIET_MS);
    this.#quiet.unref();
  }
}
