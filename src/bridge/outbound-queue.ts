import type { Socket } from 'socket.io';
import type { BridgeLimits } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import type { RoomFrame, RoomQueue } from './rooms.ts';
import { bufferedBytes, waitingPackets, writeShared } from './engine-io/server.ts';

const CONGESTED_PACKETS = 100;
const PACED_PACKETS = 50;
/** A client for which so many answers wait asks for nothing more before it has taken some. */
const BUSY_PACKETS = 500;
/** Up to so many waiting packets are weighed at every frame, more of them now and then. */
const WEIGHED_PACKETS = 64;

/** All that is said to one socket: at once, or held until its own answer has left. */
export interface OutboundQueue extends RoomQueue {
  send(frames: readonly Frame[]): void;
  /** Says however many, no faster than the client takes them. */
  sendPaced(frames: AsyncIterable<Frame>): Promise<void>;
  /** Resolves once so little waits for the client that it may be answered again; at once when it is gone. */
  ready(): Promise<void>;
  /** Says what was held. */
  release(): void;
  dropAll(): void;
  /** Nothing more is said. */
  close(): void;
}

export interface OutboundQueueOptions {
  readonly socket: Socket;
  readonly limits: Pick<BridgeLimits, 'waitingPackets' | 'waitingBytes'>;
  /** Called for each frame that is said. */
  readonly onSent: (channel: string) => void;
  /** Called when more waits than may. */
  readonly onSlow: () => void;
}

export function createOutboundQueue({ socket, limits, onSent, onSlow }: OutboundQueueOptions): OutboundQueue {
  const { conn } = socket;
  let held: { readonly frame: RoomFrame; readonly entering: boolean }[] = [];
  let heldLength = 0;
  let closed = false;

  const lengthOf = (frame: RoomFrame): number => frame.packet(conn.protocol).text.length;
  const keep = (kept: typeof held): void => {
    held = kept;
    heldLength = kept.reduce((sum, { frame }) => sum + lengthOf(frame), 0);
  };

  const check = (): void => {
    const waiting = waitingPackets(conn);
    if (waiting === 0 || closed) return;
    const weighed = waiting <= WEIGHED_PACKETS || waiting % WEIGHED_PACKETS === 0;
    const heavy = weighed && bufferedBytes(conn) > limits.waitingBytes;
    if (heavy || waiting > limits.waitingPackets) onSlow();
  };

  const send = (frames: readonly Frame[]): void => {
    if (closed || !socket.connected) return;
    for (const { channel, payload } of frames) {
      socket.emit(channel, payload);
      onSent(channel);
    }
    check();
  };

  const belowPackets = async (packets: number): Promise<void> => {
    while (waitingPackets(conn) >= packets && !closed && socket.connected) await flushed(conn);
  };

  return {
    get congested() {
      return waitingPackets(conn) > CONGESTED_PACKETS;
    },
    send,
    deliver(frame) {
      if (closed || !socket.connected) return;
      writeShared(conn, frame.packet(conn.protocol));
      check();
    },
    ready: () => belowPackets(BUSY_PACKETS),
    async sendPaced(frames) {
      for await (const frame of frames) {
        await belowPackets(PACED_PACKETS);
        if (closed || !socket.connected) return;
        send([frame]);
      }
    },
    hold(frame, entering) {
      if (closed) return;
      held.push({ frame, entering });
      heldLength += lengthOf(frame);
      if (held.length > limits.waitingPackets || heldLength > limits.waitingBytes) onSlow();
    },
    release() {
      const frames = held;
      keep([]);
      if (closed || !socket.connected) return;
      for (const { frame } of frames) {
        writeShared(conn, frame.packet(conn.protocol));
        onSent(frame.channel);
      }
      check();
    },
    enter(topic, since, replayed) {
      const isNewer = ({ seq }: RoomFrame) => seq !== undefined && seq > since;
      const isToldAnew = ({ channel }: RoomFrame) => replayed && channel === 'message';
      keep(
        held
          .filter(
            ({ frame, entering }) =>
              frame.topic !== topic || isNewer(frame) || (!entering && !isToldAnew(frame)),
          )
          .map(({ frame, entering }) => ({ frame, entering: entering && frame.topic !== topic })),
      );
    },
    dropPendingJoin: (topic) =>
      keep(held.filter(({ frame, entering }) => !entering || (topic !== undefined && frame.topic !== topic))),
    dropAll: () => keep([]),
    close() {
      closed = true;
      keep([]);
    },
  };
}

/** Resolves when the client has taken something, or is gone. */
function flushed(conn: Socket['conn']): Promise<void> {
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
