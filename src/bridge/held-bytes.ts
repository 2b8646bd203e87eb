import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket as EngineSocket } from 'engine.io';
import type { WebSocket } from 'ws';
import { LedgerEntry, MIN_COUNTED_BYTES } from '../lib/byte-ledger.ts';
import type { ByteLedgers } from '../lib/byte-ledger.ts';
import { receivedBytes } from '../lib/websocket-receiver.ts';
import type { Transport } from './engine-io/internals.ts';
import { bufferedBytes, queuedPackets, terminate } from './engine-io/server.ts';
import type { EngineSessions } from './engine-sessions.ts';

/** Queued packets between two counts of their bytes, which take time in proportion to them. */
const UNREAD_CHECK_INTERVAL = 64;

/** Counts the bytes that sessions make the process hold outside the queues of their connections. */
export class HeldBytes {
  readonly #ledgers: ByteLedgers;
  readonly #sessions: EngineSessions;

  constructor(ledgers: ByteLedgers, sessions: EngineSessions) {
    this.#ledgers = ledgers;
    this.#sessions = sessions;
  }

  /** Counts the frames that a WebSocket has received in part. */
  countReceived(transport: Transport, socket: WebSocket, stream: Duplex): void {
    const sessions = this.#sessions;
    const entry = new LedgerEntry(
      this.#ledgers.inbound,
      () => sessions.holderOf(sessions.findByTransport(transport)),
      () => {
        const conn = sessions.findByTransport(transport);
        if (conn !== undefined) terminate(conn);
        socket.terminate();
      },
    );
    stream.on('data', () => entry.update(receivedBytes(socket)));
    socket.once('close', () => entry.release());
  }

  /** Returns the entry of what the client of a session has not read. The caller counts each packet, and releases it. */
  openUnread(conn: EngineSocket): LedgerEntry {
    const holder = () => this.#sessions.holderOf(conn);
    const entry = new LedgerEntry(this.#ledgers.outbound, holder, () => terminate(conn));
    conn.on('drain', () => entry.isCounted && entry.update(bufferedBytes(conn)));
    return entry;
  }

  /**
   * Counts the body of a polling request, as large as it may become, until it has a response. Returns the milliseconds for
   * which it should not be read.
   */
  countBody(request: IncomingMessage, response: ServerResponse, maxBytes: number): number {
    if (request.method !== 'POST') return 0;
    const conn = this.#sessions.findByRequest(request);
    const entry = new LedgerEntry(
      this.#ledgers.inbound,
      () => this.#sessions.holderOf(conn, request),
      () => {
        if (conn !== undefined) terminate(conn);
        request.destroy();
      },
    );
    response.once('close', () => entry.release());
    const length = Math.min(Number(request.headers['content-length'] ?? maxBytes), maxBytes);
    entry.update(length);
    const isLimited = length >= MIN_COUNTED_BYTES && this.#sessions.flowOf(conn) === undefined;
    return isLimited ? this.#ledgers.inflow.add(length) : 0;
  }
}

/** Counts what a client has not read, after a packet was queued for it. */
export function countUnread(conn: EngineSocket, entry: LedgerEntry): void {
  if (queuedPackets(conn) % UNREAD_CHECK_INTERVAL === 1) entry.update(bufferedBytes(conn));
}
