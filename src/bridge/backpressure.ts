// Backpressure of a legacy socket, by the Engine.IO packets that its client has not read yet (`queuedPackets`):
//
// - From 50 packets, a replay pauses (`REPLAY_HIGH_WATER_MARK`, `sendReplay` of `outbound-queue.ts`).
// - Above 100 packets, ephemeral frames of rooms are dropped (`isCongested`, called by `rooms.ts`).
// - From 500 packets, the client's next event does not start (`EVENT_HIGH_WATER_MARK`, `whenReady` of `outbound-queue.ts`).
// - Above `sendQueuePackets` or `sendQueueBytes`, by default 2,000 packets and 4 MB, the client is disconnected with
//   reason SLOW (`exceedsSendLimits`, called by `outbound-queue.ts` after each frame). Room frames that are held for a
//   reply have the same two limits, in `outbound-queue.ts`.
//
// Not sent by the outbound queue, and therefore limited elsewhere:
//
// - Engine.IO pongs, acknowledgements and namespace errors: `exceedsSendLimitsWithMargin`, called by `server.ts` for every
//   packet.
// - WebSocket pongs, which `ws` sends: `limitPongs` of `engine-io/packet-limits.ts`.
//
// Received events are limited by `inbound-queue.ts`, and by `pre-auth-queue.ts` before the login.

import type { Socket as EngineSocket } from 'engine.io';
import type { ConnectionLimits } from './connection-limits.ts';
import { bufferedBytes, queuedPackets } from './engine-io/server.ts';

type SendLimits = Pick<ConnectionLimits, 'sendQueuePackets' | 'sendQueueBytes'>;

/** Queued packets above which ephemeral frames are dropped. */
const EPHEMERAL_DROP_THRESHOLD = 100;
/** Queued packets at which a replay waits for the client to read. */
export const REPLAY_HIGH_WATER_MARK = 50;
/** Queued packets at which the client's next event is not started. */
export const EVENT_HIGH_WATER_MARK = 500;
/** Packets between two size checks of a long queue: summing up its bytes takes time in proportion to its length. */
const SIZE_CHECK_INTERVAL = 64;

/** Whether the client is too far behind for ephemeral frames. */
export const isCongested = (conn: EngineSocket): boolean => queuedPackets(conn) > EPHEMERAL_DROP_THRESHOLD;

/** Whether more is queued for the client than the limits allow. Checks a long queue's bytes at every 64th packet only. */
export function exceedsSendLimits(conn: EngineSocket, limits: SendLimits): boolean {
  const queued = queuedPackets(conn);
  if (queued === 0) return false;
  const shouldCheckSize = queued <= SIZE_CHECK_INTERVAL || queued % SIZE_CHECK_INTERVAL === 0;
  if (shouldCheckSize && bufferedBytes(conn) > limits.sendQueueBytes) return true;
  return queued > limits.sendQueuePackets;
}

/**
 * Whether the client's send queue exceeds the limits with a margin, which leaves frames to the check above. Covers pongs,
 * acknowledgements and namespace errors, which engine.io and Socket.IO queue without a limit
 * (https://github.com/socketio/engine.io/issues/420).
 */
export function exceedsSendLimitsWithMargin(conn: EngineSocket, limits: SendLimits): boolean {
  const queued = queuedPackets(conn);
  if (queued > limits.sendQueuePackets + SIZE_CHECK_INTERVAL) return true;
  const shouldCheckSize = queued > 0 && queued % SIZE_CHECK_INTERVAL === 0;
  return shouldCheckSize && bufferedBytes(conn) > 2 * limits.sendQueueBytes;
}

/** Resolves when fewer than `packets` are queued, or `isOpen` returns false. Checks both when the client has read. */
export async function waitUntilBelow(
  conn: EngineSocket,
  packets: number,
  isOpen: () => boolean,
): Promise<void> {
  while (queuedPackets(conn) >= packets && isOpen()) await waitForDrain(conn);
}

/** Resolves when the client has read something, or the connection has closed. */
function waitForDrain(conn: EngineSocket): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      conn.off('drain', finish);
      conn.off('close', finish);
      resolve();
    };
    conn.on('drain', finish);
    conn.on('close', finish);
  });
}
