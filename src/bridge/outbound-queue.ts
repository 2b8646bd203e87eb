import type { Socket } from 'socket.io';
import {
  EVENT_HIGH_WATER_MARK,
  exceedsSendLimits,
  isCongested,
  REPLAY_HIGH_WATER_MARK,
  waitUntilBelow,
} from './backpressure.ts';
import type { Topic } from '../events/event.ts';
import type { TurnEnd } from '../lib/turn-end.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { Frame } from './contract/encoders.ts';
import { queuedPackets, writeBroadcast } from './engine-io/server.ts';
import type { Admission, RoomFrame, RoomQueue } from './rooms.ts';

export interface OutboundQueueOptions {
  readonly socket: Socket;
  readonly turnEnd: TurnEnd;
  readonly limits: Pick<ConnectionLimits, 'sendQueuePackets' | 'sendQueueBytes'>;
  /** Called for each frame that is sent. */
  readonly onSent: (channel: string) => void;
  /** Called when a limit is exceeded. */
  readonly onSlow: () => void;
}

interface HeldFrame {
  readonly frame: RoomFrame;
  /** The connection has not joined the room yet, and may never do so. */
  readonly isJoining: boolean;
}

/**
 * The frames sent to one socket. Room frames are held while an event of the client is being handled. The thresholds of its
 * backpressure are in `backpressure.ts`.
 */
export class OutboundQueue implements RoomQueue {
  readonly #options: OutboundQueueOptions;
  #held: HeldFrame[] = [];
  #heldBytes = 0;
  #isClosed = false;

  constructor(options: OutboundQueueOptions) {
    this.#options = options;
  }

  get isCongested(): boolean {
    return isCongested(this.#options.socket.conn);
  }

  get heldFrames(): number {
    return this.#held.length;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  send(frames: readonly Frame[]): void {
    if (!this.#isOpen()) return;
    const { socket, onSent } = this.#options;
    for (const { channel, payload } of frames) {
      socket.emit(channel, payload);
      onSent(channel);
    }
    this.#checkLimits();
  }

  deliver(frame: RoomFrame): void {
    if (!this.#isOpen()) return;
    const { conn } = this.#options.socket;
    writeBroadcast(conn, frame.packet(conn.protocol), this.#options.turnEnd);
    this.#checkLimits();
  }

  /** Whether the queue is below the high-water mark for events. */
  get isReady(): boolean {
    return queuedPackets(this.#options.socket.conn) < EVENT_HIGH_WATER_MARK;
  }

  /** Resolves when the queue is below the high-water mark for events, or the client has disconnected. */
  whenReady(): Promise<void> {
    return this.#waitUntilBelow(EVENT_HIGH_WATER_MARK);
  }

  /** Sends the frames with backpressure: no faster than the client reads. */
  async sendReplay(frames: AsyncIterable<Frame>): Promise<void> {
    for await (const frame of frames) {
      await this.#waitUntilBelow(REPLAY_HIGH_WATER_MARK);
      if (!this.#isOpen()) return;
      this.send([frame]);
    }
  }

  hold(frame: RoomFrame, isJoining: boolean): void {
    if (this.#isClosed) return;
    this.#held.push({ frame, isJoining });
    this.#heldBytes += this.#measure(frame);
    const { limits, onSlow } = this.#options;
    if (this.#held.length > limits.sendQueuePackets || this.#heldBytes > limits.sendQueueBytes) onSlow();
  }

  /** Sends the held frames. */
  flushHeld(): void {
    const held = this.#held;
    this.#replaceHeld([]);
    if (!this.#isOpen()) return;
    const { socket, onSent, turnEnd } = this.#options;
    const { conn } = socket;
    for (const { frame } of held) {
      writeBroadcast(conn, frame.packet(conn.protocol), turnEnd);
      onSent(frame.channel);
    }
    this.#checkLimits();
  }

  completeJoin(topic: Topic, { seq: joinSeq, replaysMessages }: Admission): void {
    const isNewer = ({ seq }: RoomFrame) => seq !== undefined && seq > joinSeq;
    const isReplayed = ({ channel }: RoomFrame) => replaysMessages && channel === 'message';
    this.#replaceHeld(
      this.#held
        .filter(
          // A member already in the room must still receive its held frames, unless the replay repeats them.
          ({ frame, isJoining }) =>
            frame.topic !== topic || isNewer(frame) || (!isJoining && !isReplayed(frame)),
        )
        .map(({ frame, isJoining }) => ({ frame, isJoining: isJoining && frame.topic !== topic })),
    );
  }

  dropPendingJoin(topic?: Topic): void {
    this.#replaceHeld(
      this.#held.filter(
        ({ frame, isJoining }) => !isJoining || (topic !== undefined && frame.topic !== topic),
      ),
    );
  }

  dropHeld(): void {
    this.#replaceHeld([]);
  }

  /** Drops the held frames. Nothing is sent afterwards. */
  close(): void {
    this.#isClosed = true;
    this.#replaceHeld([]);
  }

  #isOpen(): boolean {
    return !this.#isClosed && this.#options.socket.connected;
  }

  #waitUntilBelow(packets: number): Promise<void> {
    return waitUntilBelow(this.#options.socket.conn, packets, () => this.#isOpen());
  }

  #checkLimits(): void {
    const { socket, limits, onSlow } = this.#options;
    if (!this.#isClosed && exceedsSendLimits(socket.conn, limits)) onSlow();
  }

  #measure(frame: RoomFrame): number {
    return frame.packet(this.#options.socket.conn.protocol).text.length;
  }

  #replaceHeld(frames: HeldFrame[]): void {
    this.#held = frames;
    this.#heldBytes = frames.reduce((sum, { frame }) => sum + this.#measure(frame), 0);
  }
}
