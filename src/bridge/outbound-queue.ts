import type { Socket } from 'socket.io';
import type { ConnectionLimits } from './connection-limits.ts';
import type { Frame } from './contract/encoders.ts';
import type { RoomFrame, RoomQueue } from './rooms.ts';
import { bufferedBytes, queuedPackets, writeBroadcast } from './engine-io/server.ts';

/** Queued packets above which ephemeral frames are dropped. */
const CONGESTED_PACKETS = 100;
/** High-water mark of a replay. */
const PACED_PACKETS = 50;
/** High-water mark of replies: above it, the client's next event is not started. */
const BUSY_PACKETS = 500;
/** Queues up to this length are measured in bytes at each frame, longer ones at every 64th packet. */
const WEIGHED_PACKETS = 64;

/** The frames sent to one socket. Room frames are held while an event of the client is being handled. */
export interface OutboundQueue extends RoomQueue {
  readonly heldFrames: number;
  readonly heldBytes: number;
  send(frames: readonly Frame[]): void;
  /** Sends the frames with backpressure: no faster than the client reads them. */
  sendPaced(frames: AsyncIterable<Frame>): Promise<void>;
  /** Resolves when the queue is below the high-water mark for replies, or the client has disconnected. */
  ready(): Promise<void>;
  /** Sends the held frames. */
  release(): void;
  dropAll(): void;
  /** Drops what is held; nothing is sent afterwards. */
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
  readonly joining: boolean;
}

export function createOutboundQueue({ socket, limits, onSent, onSlow }: OutboundQueueOptions): OutboundQueue {
  const { conn } = socket;
  let held: HeldFrame[] = [];
  let heldBytes = 0;
  let closed = false;

  const lengthOf = (frame: RoomFrame): number => frame.packet(conn.protocol).text.length;
  const replaceHeld = (frames: HeldFrame[]): void => {
    held = frames;
    heldBytes = frames.reduce((sum, { frame }) => sum + lengthOf(frame), 0);
  };

  const checkLimits = (): void => {
    const queued = queuedPackets(conn);
    if (queued === 0 || closed) return;
    const isWeighed = queued <= WEIGHED_PACKETS || queued % WEIGHED_PACKETS === 0;
    const isTooLarge = isWeighed && bufferedBytes(conn) > limits.sendQueueBytes;
    if (isTooLarge || queued > limits.sendQueuePackets) onSlow();
  };

  const send = (frames: readonly Frame[]): void => {
    if (closed || !socket.connected) return;
    for (const { channel, payload } of frames) {
      socket.emit(channel, payload);
      onSent(channel);
    }
    checkLimits();
  };

  const drainedBelow = async (packets: number): Promise<void> => {
    while (queuedPackets(conn) >= packets && !closed && socket.connected) await drained(conn);
  };

  return {
    get congested() {
      return queuedPackets(conn) > CONGESTED_PACKETS;
    },
    get heldFrames() {
      return held.length;
    },
    get heldBytes() {
      return heldBytes;
    },
    send,
    deliver(frame) {
      if (closed || !socket.connected) return;
      writeBroadcast(conn, frame.packet(conn.protocol));
      checkLimits();
    },
    ready: () => drainedBelow(BUSY_PACKETS),
    async sendPaced(frames) {
      for await (const frame of frames) {
        await drainedBelow(PACED_PACKETS);
        if (closed || !socket.connected) return;
        send([frame]);
      }
    },
    hold(frame, joining) {
      if (closed) return;
      held.push({ frame, joining });
      heldBytes += lengthOf(frame);
      if (held.length > limits.sendQueuePackets || heldBytes > limits.sendQueueBytes) onSlow();
    },
    release() {
      const frames = held;
      replaceHeld([]);
      if (closed || !socket.connected) return;
      for (const { frame } of frames) {
        writeBroadcast(conn, frame.packet(conn.protocol));
        onSent(frame.channel);
      }
      checkLimits();
    },
    completeJoin(topic, since, replay) {
      const isNewer = ({ seq }: RoomFrame) => seq !== undefined && seq > since;
      const isReplayed = ({ channel }: RoomFrame) => replay && channel === 'message';
      replaceHeld(
        held
          .filter(
            // A member already in the room must still receive its held frames, unless the replay repeats them.
            ({ frame, joining }) =>
              frame.topic !== topic || isNewer(frame) || (!joining && !isReplayed(frame)),
          )
          .map(({ frame, joining }) => ({ frame, joining: joining && frame.topic !== topic })),
      );
    },
    dropPendingJoin: (topic) =>
      replaceHeld(
        held.filter(({ frame, joining }) => !joining || (topic !== undefined && frame.topic !== topic)),
      ),
    dropAll: () => replaceHeld([]),
    close() {
      closed = true;
      replaceHeld([]);
    },
  };
}

/** Resolves when the client has read something, or the connection has closed. */
function drained(conn: Socket['conn']): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      conn.off('drain', done);
      conn.off('close', done);
      resolve();
    };
    conn.on('drain', done);
    conn.on('close', done);
  });
}
