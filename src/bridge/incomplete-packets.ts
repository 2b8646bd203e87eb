import type { Socket as EngineSocket } from 'engine.io';
import { LedgerEntry } from '../lib/byte-ledger.ts';
import type { ByteLedgers } from '../lib/byte-ledger.ts';
import { terminate } from './engine-io/server.ts';
import type { EngineSessions } from './engine-sessions.ts';

/** The start of a Socket.IO packet that attachments follow: its type, and their number. */
const BINARY_START = /^[56](\d+)-/;

interface IncompletePacket {
  missingAttachments: number;
  bytes: number;
  readonly entry: LedgerEntry;
}

export interface IncompletePacketsOptions {
  readonly ledgers: ByteLedgers;
  readonly sessions: EngineSessions;
  readonly maxBytes: number;
  /** Called for a session whose packet has more bytes: must close it. */
  readonly onTooLarge: (conn: EngineSocket) => void;
}

/**
 * Counts the packets whose attachments have not all arrived: Socket.IO buffers them whether a client is connected to a
 * namespace, has not connected yet, or has disconnected.
 */
export class IncompletePackets {
  readonly #options: IncompletePacketsOptions;
  readonly #packets = new Map<EngineSocket, IncompletePacket>();
  readonly #onData: (this: EngineSocket, data?: string | Buffer) => void;

  constructor(options: IncompletePacketsOptions) {
    this.#options = options;
    // One listener for all sessions, which hold nothing more while their packets are complete.
    const receive = (conn: EngineSocket, data: string | Buffer): void => this.#receive(conn, data);
    this.#onData = function (data = '') {
      receive(this, data);
    };
  }

  /** Counts what a session receives, until it is released. */
  count(conn: EngineSocket): void {
    conn.on('data', this.#onData);
  }

  release(conn: EngineSocket): void {
    this.#packets.get(conn)?.entry.release();
    this.#packets.delete(conn);
  }

  #receive(conn: EngineSocket, data: string | Buffer): void {
    const packet = typeof data === 'string' ? this.#start(conn, data) : this.#packets.get(conn);
    if (packet === undefined) return;
    packet.bytes += data.length;
    if (typeof data !== 'string') packet.missingAttachments -= 1;
    if (packet.missingAttachments <= 0) return this.release(conn);
    if (packet.bytes > this.#options.maxBytes) this.#options.onTooLarge(conn);
    else packet.entry.update(packet.bytes);
  }

  /** Starts to count a packet if the text is one with attachments. */
  #start(conn: EngineSocket, text: string): IncompletePacket | undefined {
    const [, attachments] = BINARY_START.exec(text) ?? [];
    if (attachments === undefined) return undefined;
    this.release(conn);
    const { ledgers, sessions } = this.#options;
    const holder = () => sessions.holderOf(conn);
    const entry = new LedgerEntry(ledgers.inbound, holder, () => terminate(conn));
    const packet = { missingAttachments: Number(attachments), bytes: 0, entry };
    this.#packets.set(conn, packet);
    return packet;
  }
}
