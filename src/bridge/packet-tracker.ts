import { measureJson } from '../lib/json-weight.ts';

/** The start of an event packet: `2`, or `5` and the number of attachments; the namespace `/`; the acknowledgement id. */
const EVENT_START = /^(?:2|5\d+-)(?:\/,)?(\d+)?\[/;

/** The properties of a received event that Socket.IO does not pass to its listeners. */
export interface EventMetadata {
  /** Memory of its packets, attachments included. */
  readonly bytes: number;
  /** Id of the acknowledgement that the client requests; 0 for the first of a client, or if it requests none. */
  readonly ackId: number;
}

/** Tracks the packets that a connection receives, to attach their size and acknowledgement ids to events. */
export class PacketTracker {
  /** Bytes received since the last event. */
  #bytes = 0;
  /** Acknowledgement ids of the events that are received and not taken yet. */
  #ackIds: number[] = [];

  /** Tracks a received packet. A packet `4` without content has no data. */
  track(data: string | Buffer | undefined): void {
    this.#bytes += data?.length ?? 0;
    if (typeof data === 'string') this.#bytes += measureJson(data).overheadBytes;
    const event = typeof data === 'string' ? EVENT_START.exec(data) : null;
    if (event !== null) this.#ackIds.push(Number(event[1] ?? 0));
  }

  /** Removes and returns the metadata of the next event. */
  takeEvent(): EventMetadata {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return { bytes, ackId: this.#ackIds.shift() ?? 0 };
  }
}
