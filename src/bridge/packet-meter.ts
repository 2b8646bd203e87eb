/** The head of an event packet: `2`, `5` and attachments, the namespace `/`, and the id of its acknowledgement. */
const EVENT = /^(?:2|5\d+-)(?:\/,)?(\d+)?\[/;

/**
 * Measures the packets of a connection, for the events that Socket.IO makes of them: an event does not tell its size or
 * the id of its acknowledgement.
 */
export class PacketMeter {
  #bytes = 0;
  /** Acknowledgement ids of the events that are received and not taken yet; 0 for none. */
  #ackIds: number[] = [];

  /** Bytes received since the last event: attachments are buffered until the last of them arrives. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts a packet. A packet `4` without content has no data. */
  add(data: string | Buffer | undefined): void {
    this.#bytes += data?.length ?? 0;
    const event = typeof data === 'string' ? EVENT.exec(data) : null;
    if (event !== null) this.#ackIds.push(Number(event[1] ?? 0));
  }

  /** Returns the measure of the next event. Clients count acknowledgement ids over all their connections. */
  take(): { readonly bytes: number; readonly ackId: number } {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return { bytes, ackId: this.#ackIds.shift() ?? 0 };
  }
}
