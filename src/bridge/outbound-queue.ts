import type { Socket } from 'socket.io';
import {
  EVENT_HIGH_WATER_MARK,
  exceedsSendLimits,
  isCongested,
  REPLAY_HIGH_WATER_MARK,
  waitUntilBelow,
} from './backpressure.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { Frame } from './contract/encoders.ts';
import { queuedPackets, writeBroadcast } from './engine-io/server.ts';
import type { RoomFrame, RoomQueue } from './rooms.ts';

/**
 * The frames sent to one socket. Room frames are held while an event of the client is being handled. The thresholds of its
 * backpressure are in `backpressure.ts`.
 */
export interface OutboundQueue extends RoomQueue {
  readonly heldFrames: number;
  readonly heldBytes: number;
  send(frames: readonly Frame[]): void;
  /** Sends the frames with backpressure: no faster than the client reads. */
  sendReplay(frames: AsyncIterable<Frame>): Promise<void>;
  /** Whether the queue is below the high-water mark for events. */
  readonly isReady: boolean;
  /** Resolves when the queue is below the high-water mark for events, or the client has disconnected. */
  whenReady(): Promise<void>;
  /** Sends the held frames. */
  flushHeld(): void;
  dropHeld(): void;
  /** Drops the held frames. Nothing is sent afterwards. */
  close(): void;
}

export interface OutboundQueueOptions {
  readonly socket: Socket;
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

export function createOutboundQueue({ socket, limits, onSent, onSlow }: OutboundQueueOptions): OutboundQueue {
  const { conn } = socket;
  let held: HeldFrame[] = [];
  let heldBytes = 0;
  let isClosed = false;

  const isOpen = (): boolean => !isClosed && socket.connected;
  const measureFrame = (frame: RoomFrame): number => frame.packet(conn.protocol).text.length;
  const replaceHeld = (frames: HeldFrame[]): void => {
    held = frames;
    heldBytes = frames.reduce((sum, { frame }) => sum + measureFrame(frame), 0);
  };

  const checkLimits = (): void => {
    if (!isClosed && exceedsSendLimits(conn, limits)) onSlow();
  };

  const send = (frames: readonly Frame[]): void => {
    if (!isOpen()) return;
    for (const { channel, payload } of frames) {
      socket.emit(channel, payload);
      onSent(channel);
    }
    checkLimits();
  };

  return {
    get isCongested() {
      return isCongested(conn);
    },
    get heldFrames() {
      return held.length;
    },
    get heldBytes() {
      return heldBytes;
    },
    send,
    deliver(frame) {
      if (!isOpen()) return;
      writeBroadcast(conn, frame.packet(conn.protocol));
      checkLimits();
    },
    get isReady() {
      return queuedPackets(conn) < EVENT_HIGH_WATER_MARK;
    },
    whenReady: () => waitUntilBelow(conn, EVENT_HIGH_WATER_MARK, isOpen),
    async sendReplay(frames) {
      for await (const frame of frames) {
        await waitUntilBelow(conn, REPLAY_HIGH_WATER_MARK, isOpen);
        if (!isOpen()) return;
        send([frame]);
      }
    },
    hold(frame, isJoining) {
      if (isClosed) return;
      held.push({ frame, isJoining });
      heldBytes += measureFrame(frame);
      if (held.length > limits.sendQueuePackets || heldBytes > limits.sendQueueBytes) onSlow();
    },
    flushHeld() {
      const frames = held;
      replaceHeld([]);
      if (!isOpen()) return;
      for (const { frame } of frames) {
        writeBroadcast(conn, frame.packet(conn.protocol));
        onSent(frame.channel);
      }
      checkLimits();
    },
    completeJoin(topic, { seq: joinSeq, replaysMessages }) {
      const isNewer = ({ seq }: RoomFrame) => seq !== undefined && seq > joinSeq;
      const isReplayed = ({ channel }: RoomFrame) => replaysMessages && channel === 'message';
      replaceHeld(
        held
          .filter(
            // A member already in the room must still receive its held frames, unless the replay repeats them.
            ({ frame, isJoining }) =>
              frame.topic !== topic || isNewer(frame) || (!isJoining && !isReplayed(frame)),
          )
          .map(({ frame, isJoining }) => ({ frame, isJoining: isJoining && frame.topic !== topic })),
      );
    },
    dropPendingJoin: (topic) =>
      replaceHeld(
        held.filter(({ frame, isJoining }) => !isJoining || (topic !== undefined && frame.topic !== topic)),
      ),
    dropHeld: () => replaceHeld([]),
    close() {
      isClosed = true;
      replaceHeld([]);
    },
  };
}
