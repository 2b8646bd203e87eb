/** Longest delay. What many connections have sent before that is forgotten: a flood must not delay those that come after it. */
const MAX_DELAY_MS = 10_000;

/** How fast bytes may be received. */
export interface InflowRate {
  readonly bytesPerSecond: number;
  /** Bytes that may be received together after a time without any. */
  readonly burstBytes: number;
}

/**
 * Limits how fast the bytes of several connections are received together (the generic cell rate algorithm). Nothing is refused:
 * a connection over the rate is not read for a while, so that TCP slows its client down.
 */
export class InflowLimit {
  readonly #msPerByte: number;
  readonly #burstMs: number;
  /** When as many bytes as were received are within the rate. */
  #paidAt = 0;

  constructor({ bytesPerSecond, burstBytes }: InflowRate) {
    this.#msPerByte = 1_000 / bytesPerSecond;
    this.#burstMs = burstBytes * this.#msPerByte;
  }

  /** Counts received bytes. Returns the milliseconds for which their connection should not be read; 0 within the rate. */
  add(bytes: number): number {
    const now = performance.now();
    const latest = now + this.#burstMs + MAX_DELAY_MS;
    this.#paidAt = Math.min(Math.max(now, this.#paidAt) + bytes * this.#msPerByte, latest);
    return Math.max(0, this.#paidAt - now - this.#burstMs);
  }
}

/** For a node without rate limits. */
export const UNLIMITED: InflowRate = { bytesPerSecond: Infinity, burstBytes: 0 };
