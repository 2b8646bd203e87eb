/** The resources of each legacy connection. Beyond the limits of a queue it is closed with reason SLOW. */
export interface ConnectionLimits {
  /** Received events that have not started. */
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** Longest time that an event is queued for an `authenticate`, from the connect. */
  readonly preAuthTimeoutMs: number;
  /** Events queued for an `authenticate`. Beyond this, they run without a login. */
  readonly preAuthEvents: number;
  readonly preAuthBytes: number;
  /** Packets that the client has not read: see `backpressure.ts`. */
  readonly sendQueuePackets: number;
  readonly sendQueueBytes: number;
  /** Timeout of one event. */
  readonly eventTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Largest single payload, in bytes. */
  readonly payloadBytes: number;
  /** Packets in one polling request. */
  readonly payloadPackets: number;
  /**
   * Sessions of all clients without a login, at about 7 KB each: a polling session is open without a TCP connection. Beyond
   * this, the oldest is closed.
   */
  readonly anonymousSessions: number;
}

export const DEFAULT_LIMITS: ConnectionLimits = {
  queuedEvents: 10_000,
  queuedBytes: 16 * 1024 * 1024,
  preAuthTimeoutMs: 1_000,
  preAuthEvents: 2_000,
  preAuthBytes: 4 * 1024 * 1024,
  sendQueuePackets: 2_000,
  sendQueueBytes: 4 * 1024 * 1024,
  eventTimeoutMs: 30_000,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 60_000,
  payloadBytes: 5 * 1024 * 1024,
  payloadPackets: 10_000,
  anonymousSessions: 6_000,
};
