export interface HeldEvent {
  readonly needsLogin: boolean;
  readonly bytes: number;
  readonly work: () => Promise<void>;
  /** Acknowledges the event; set when the client may send nothing more before that. */
  readonly acknowledge?: (() => void) | undefined;
}

export interface LoginHoldOptions {
  /** Longest hold, from the connect. */
  readonly ms: number;
  /** Beyond either limit the hold ends: held events are then refused like any event before a login. */
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Called with each held event, in order, when the hold ends. */
  readonly onRelease: (event: HeldEvent) => void;
}

/** A client that sends more without an acknowledgement has sent it by then. */
const QUIET_MS = 250;

/**
 * Holds the events that a new connection sends before `authenticate` (contract decision 20): since 2.1, clients flush the
 * events they buffered offline before the app can authenticate. The hold starts with the connect.
 */
export class LoginHold {
  readonly #options: LoginHoldOptions;
  readonly #timer: NodeJS.Timeout;
  #quietTimer: NodeJS.Timeout | undefined;
  #held: HeldEvent[] = [];
  #bytes = 0;
  #isOver = false;
  /** The client waits for each acknowledgement before it sends the next event. */
  #isSerial = false;

  constructor(options: LoginHoldOptions) {
    this.#options = options;
    // When the event loop was blocked, timers run before sockets are read: `setImmediate` lets an `authenticate` that
    // has arrived be read first.
    this.#timer = setTimeout(() => setImmediate(() => this.end()), options.ms);
    this.#timer.unref();
  }

  /**
   * Holds an event until the hold ends. Returns false if the event must run now: after the hold, or if nothing is held
   * and the event needs no login. Other events without need of a login are held as well, which preserves the order.
   */
  hold(event: HeldEvent): boolean {
    if (this.#isOver || (this.#held.length === 0 && !event.needsLogin)) return false;
    this.#held.push(event);
    this.#bytes += event.bytes;
    const { maxEvents, maxBytes } = this.#options;
    if (this.#held.length > maxEvents || this.#bytes > maxBytes) this.end();
    else this.#acknowledgeWhenQuiet(event);
    return true;
  }

  /** Ends the hold and releases the held events in order. Does nothing the second time. */
  end(): void {
    const events = this.#held;
    this.drop();
    for (const event of events) this.#options.onRelease(event);
  }

  /** Ends the hold and discards the held events. */
  drop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#quietTimer);
    this.#held = [];
  }

  /** With `retries`, socket.io-client sends no `authenticate` before its previous event is acknowledged. */
  #acknowledgeWhenQuiet({ acknowledge }: HeldEvent): void {
    clearTimeout(this.#quietTimer);
    if (acknowledge === undefined) return void (this.#isSerial = false);
    if (this.#isSerial) return acknowledge();
    if (this.#held.length > 1) return;
    this.#quietTimer = setTimeout(() => {
      this.#isSerial = true;
      // The client does not repeat an acknowledged event, so it must not be refused: it is held until the login.
      clearTimeout(this.#timer);
      acknowledge();
    }, QUIET_MS);
    this.#quietTimer.unref();
  }
}
