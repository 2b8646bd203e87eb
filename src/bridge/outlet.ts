import type { Socket } from 'socket.io';
import type { Topic } from '../events/event.ts';
import type { BridgeLimits } from './deps.ts';
import type { Frame } from './frames.ts';
import type { RoomFrame } from './rooms.ts';
import { bufferedBytes, waitingPackets } from './transport.ts';

const CONGESTED_PACKETS = 100;
/** Up to so many waiting packets are weighed at every frame, more of them now and then. */
const WEIGHED_PACKETS = 64;

/** All that is said to one socket: at once, or held until its own answer has left. */
export interface Outlet {
  /** Whether so much waits that what is not kept had better be left out. */
  readonly congested: boolean;
  say(frames: readonly Frame[]): void;
  /** Keeps a room's frame for `release`. */
  hold(frame: RoomFrame): void;
  release(): void;
  /** Lets go of held frames that show the topic up to a position. */
  forget(topic: Topic, upTo: number): void;
  forgetAll(): void;
  /** Looks whether the client keeps up, after something was written to it. */
  check(): void;
  /** Nothing more is said. */
  close(): void;
}

export interface OutletOptions {
  readonly socket: Socket;
  readonly limits: Pick<BridgeLimits, 'waitingPackets' | 'waitingBytes'>;
  /** Called when more waits than may. */
  readonly onSlow: () => void;
}

export function createOutlet({ socket, limits, onSlow }: OutletOptions): Outlet {
  const { conn } = socket;
  let held: RoomFrame[] = [];
  let closed = false;

  const check = (): void => {
    const waiting = waitingPackets(conn);
    if (waiting === 0 || closed) return;
    const weighed = waiting <= WEIGHED_PACKETS || waiting % WEIGHED_PACKETS === 0;
    const heavy = weighed && bufferedBytes(conn) > limits.waitingBytes;
    if (heavy || waiting > limits.waitingPackets) onSlow();
  };

  return {
    get congested() {
      return waitingPackets(conn) > CONGESTED_PACKETS;
    },
    say(frames) {
      if (closed || !socket.connected) return;
      for (const { channel, payload } of frames) socket.emit(channel, payload);
      check();
    },
    hold(frame) {
      if (closed) return;
      held.push(frame);
      if (held.length > limits.waitingPackets) onSlow();
    },
    release() {
      const frames = held;
      held = [];
      if (closed || !socket.connected) return;
      for (const frame of frames) conn.write(frame.packet());
      check();
    },
    forget(topic, upTo) {
      held = held.filter((frame) => frame.topic !== topic || (frame.seq !== undefined && frame.seq > upTo));
    },
    forgetAll() {
      held = [];
    },
    check,
    close() {
      closed = true;
      held = [];
    },
  };
}
