import { LedgerEntry, MIN_COUNTED_BYTES } from '../../lib/byte-ledger.ts';
import type { Direction } from '../../lib/byte-ledger.ts';
import { closeNow, holderOf } from './connection.ts';
import type { WebSocketConnection } from './connection.ts';

/**
 * Counts the bytes that a connection makes the process hold, in a direction. Closes the connection with 1013 and the reason
 * SLOW if it is the one that has held bytes for the longest time when there are too many.
 */
export function countHeldBytes(connection: WebSocketConnection, direction: Direction, bytes: number): void {
  let entry = connection.heldBytes[direction];
  if (entry === undefined) {
    if (bytes < MIN_COUNTED_BYTES) return;
    entry = new LedgerEntry(
      connection.ledgers[direction],
      () => holderOf(connection),
      () => closeNow(connection, 'SLOW'),
    );
    connection.heldBytes = { ...connection.heldBytes, [direction]: entry };
  }
  entry.update(bytes);
}

export function releaseHeldBytes({ heldBytes }: WebSocketConnection): void {
  heldBytes.inbound?.release();
  heldBytes.outbound?.release();
}
