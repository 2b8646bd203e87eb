import { nextTick } from 'node:process';
import { WebSocket } from 'ws';
import { endsStreams } from '../../errors.ts';
import { MIN_COUNTED_BYTES } from '../../lib/byte-ledger.ts';
import { afterMicrotasks } from '../../lib/turn-clock.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import { receivedBytes } from '../../lib/websocket-receiver.ts';
import { weighJson } from '../json-limits.ts';
import { closeNow, flowOf, holderOf, priorityOf } from './connection.ts';
import type { WebSocketConnection } from './connection.ts';
import { countHeldBytes } from './held-bytes.ts';
import type { FrameProgress } from './operation-ids.ts';

interface Capacity {
  readonly frames: number;
  readonly bytes: number;
}

/**
 * Frames in progress per connection: received, and not answered yet. A frame is always accepted while none is in progress.
 * A subscription is in progress until it is open.
 */
const CAPACITY = {
  account: { frames: 128, bytes: 1024 * 1024 },
  anonymous: { frames: 16, bytes: 64 * 1024 },
} as const satisfies Record<string, Capacity>;

/** Frames of one packet that start without a check in between, which lets operations of one client be batched. */
const MAX_BURST = 4;

/**
 * The frames that a client sends, in order. While too many are in progress, or the turn of the event loop is over, further
 * frames are queued and the socket is not read, so that the client is slowed down by TCP.
 */
export class InboundFrames implements FrameProgress {
  readonly #connection: WebSocketConnection;
  readonly #turnClock: TurnClock;
  readonly #onError: (error: unknown) => void;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #pendingFrames = 0;
  #pendingBytes = 0;
  #burst = 0;
  #isDraining = false;
  #resume: (() => void) | undefined;

  constructor(connection: WebSocketConnection, turnClock: TurnClock, onError: (error: unknown) => void) {
    this.#connection = connection;
    this.#turnClock = turnClock;
    this.#onError = onError;
  }

  /** Counts what the connection holds: frames that are incomplete, queued or in progress. */
  countBytes(): void {
    const bytes = receivedBytes(this.#connection.socket) + this.#queuedBytes + this.#pendingBytes;
    countHeldBytes(this.#connection, 'inbound', bytes);
  }

  receive(data: Buffer): void {
    if (!this.#isDraining && this.#burst < MAX_BURST && this.#hasCapacity() && !this.#turnClock.isOver()) {
      if (this.#burst === 0) nextTick(() => (this.#burst = 0));
      this.#burst += 1;
      this.#start(data);
      return;
    }
    this.#queue.push(data);
    this.#queuedBytes += data.length;
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#connection.reader.pause('inbound');
    void this.#drain();
  }

  /** Drops the queued frames. */
  clear(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#wake();
  }

  async #drain(): Promise<void> {
    // Lets the frames that arrived before do their first work, which counts in this turn.
    await afterMicrotasks();
    for (let data = this.#queue.shift(); data !== undefined; data = this.#queue.shift()) {
      this.#queuedBytes -= data.length;
      if (this.#turnClock.isOver()) await this.#turnClock.nextTurn(flowOf(this.#connection));
      while (!this.#hasCapacity()) await new Promise<void>((resolve) => (this.#resume = resolve));
      this.#start(data);
      await afterMicrotasks();
    }
    this.#isDraining = false;
    // An array keeps the memory of its largest size.
    this.#queue = [];
    this.#connection.reader.resume('inbound');
  }

  #start(data: Buffer): void {
    const { socket, closeReason, operations } = this.#connection;
    if (socket.readyState === WebSocket.CLOSED) return;
    // While the server closes the connection it starts nothing new: the client repeats it on its next connection.
    if (closeReason !== undefined && !endsStreams(closeReason)) return;
    const text = data.toString();
    const overheadBytes = this.#weigh(text);
    if (overheadBytes === undefined) return;
    const bytes = data.length + overheadBytes;
    this.#pendingFrames += 1;
    this.#pendingBytes += bytes;
    if (overheadBytes >= MIN_COUNTED_BYTES) this.countBytes();
    operations.receive(text, bytes, this).catch(this.#onError);
  }

  /** Returns the memory of what will be parsed. Closes the connection and returns undefined if there is none for it. */
  #weigh(text: string): number | undefined {
    try {
      const bytes = weighJson(text);
      const ledger = this.#connection.ledgers.inbound[priorityOf(this.#connection)];
      if (bytes < MIN_COUNTED_BYTES || ledger.admits(bytes, holderOf(this.#connection))) return bytes;
      closeNow(this.#connection, 'SLOW');
    } catch (error) {
      this.#onError(error);
    }
    return undefined;
  }

  settled(bytes: number): void {
    this.#pendingFrames -= 1;
    this.#pendingBytes -= bytes;
    if (this.#connection.heldBytes.inbound?.isCounted === true) this.countBytes();
    this.#wake();
  }

  #hasCapacity(): boolean {
    if (this.#pendingFrames === 0 || this.#connection.socket.readyState === WebSocket.CLOSED) return true;
    const { frames, bytes } = CAPACITY[priorityOf(this.#connection)];
    return this.#pendingFrames < frames && this.#pendingBytes < bytes;
  }

  #wake(): void {
    this.#resume?.();
    this.#resume = undefined;
  }
}
