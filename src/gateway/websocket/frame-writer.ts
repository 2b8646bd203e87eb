import type { Duplex } from 'node:stream';
import type { ExecutionResult } from 'graphql';
import { WebSocket } from 'ws';
import { textFrameHead } from '../../lib/websocket-frame.ts';
import type { Membership, Receiver } from '../execution/fan-out-group.ts';
import type { SharedResult, SharedResults } from '../execution/shared-results.ts';
import { isBehind } from './backpressure.ts';
import type { WebSocketConnection } from './connection.ts';
import { countHeldBytes } from './held-bytes.ts';

/** Frames beyond it leave in another write: a client that reads nothing makes the process hold one write. */
const MAX_WRITE_BYTES = 128 * 1024;

/**
 * Writes the `next` frames of one subscription directly to the TCP stream, bypassing graphql-ws and `ws`, so that they are
 * encoded once per group. This requires that the socket compresses nothing and that the Sender of `ws` does not queue
 * (`ws-internals.ts` checks it).
 */
export class FrameReceiver implements Receiver {
  membership: Membership | undefined;
  readonly #connection: WebSocketConnection;
  readonly #id: string;

  constructor(connection: WebSocketConnection, id: string) {
    this.#connection = connection;
    this.#id = JSON.stringify(id);
  }

  get connection(): string {
    return this.#connection.id;
  }

  write(results: SharedResults): number {
    const { socket, stream, operations, turnEnd } = this.#connection;
    let written = 0;
    for (const frames of results.encoded(encodeFrames).forId(this.#id)) {
      if (socket.readyState !== WebSocket.OPEN) break;
      if (isBehind(stream)) {
        stream.uncork();
        if (isBehind(stream)) {
          countHeldBytes(this.#connection, 'outbound', stream.writableLength);
          break;
        }
      }
      // The reply of an operation that has caused the results leaves with them.
      if (operations.unsettledCount > 0) turnEnd.cork(stream);
      frames.write(stream, this.#id);
      written += frames.count;
    }
    return written;
  }
}

const encodeFrames = (results: readonly SharedResult[]): FrameLists => new FrameLists(results);

/** The frames of shared results, for any subscription. */
class FrameLists {
  readonly #bodies: readonly Buffer[];
  /** By the length of the id, with which only the id differs. */
  readonly #lists = new Map<number, readonly Frames[]>();

  constructor(results: readonly SharedResult[]) {
    this.#bodies = results.map(({ result }) => encodeBody(result));
  }

  forId(id: string): readonly Frames[] {
    const idBytes = Buffer.byteLength(id);
    const known = this.#lists.get(idBytes) ?? this.#createList(idBytes);
    this.#lists.set(idBytes, known);
    return known;
  }

  #createList(idBytes: number): Frames[] {
    const lists: Frames[] = [];
    let chunks: Buffer[] = [];
    let idOffsets: number[] = [];
    let bytes = 0;
    const finish = (): void => {
      lists.push(new Frames(Buffer.concat(chunks, bytes), idBytes, idOffsets));
      [chunks, idOffsets, bytes] = [[], [], 0];
    };
    for (const body of this.#bodies) {
      const head = textFrameHead(ID_PREFIX.length + idBytes + body.length);
      const frameBytes = head.length + ID_PREFIX.length + idBytes + body.length;
      if (bytes > 0 && bytes + frameBytes > MAX_WRITE_BYTES) finish();
      idOffsets.push(bytes + head.length + ID_PREFIX.length);
      chunks.push(head, ID_PREFIX, Buffer.alloc(idBytes), body);
      bytes += frameBytes;
    }
    finish();
    return lists;
  }
}

/** Encodes the end of a frame, after its id, with the key order of graphql-ws. */
function encodeBody({ errors, ...rest }: ExecutionResult): Buffer {
  const payload = errors === undefined ? rest : { ...rest, errors: errors.map((error) => error.toJSON()) };
  return Buffer.from(`,"type":"next","payload":${JSON.stringify(payload)}}`);
}

const ID_PREFIX = Buffer.from('{"id":');

/** Consecutive frames in one buffer, which is used for each subscription in turn: only the ids in it are replaced. */
class Frames {
  #buffer: Buffer;
  readonly #idBytes: number;
  readonly #idOffsets: readonly number[];
  #id: string | undefined;

  constructor(buffer: Buffer, idBytes: number, idOffsets: readonly number[]) {
    this.#buffer = buffer;
    this.#idBytes = idBytes;
    this.#idOffsets = idOffsets;
  }

  get count(): number {
    return this.#idOffsets.length;
  }

  write(stream: Duplex, id: string): void {
    this.#setId(id);
    stream.write(this.#buffer);
    // Bytes that the operating system has not taken stay in use.
    if (stream.writableLength > 0) this.#buffer = Buffer.from(this.#buffer);
  }

  #setId(id: string): void {
    if (id === this.#id) return;
    this.#id = id;
    const [first = 0] = this.#idOffsets;
    this.#buffer.write(id, first);
    for (let index = 1; index < this.#idOffsets.length; index += 1)
      this.#buffer.copyWithin(this.#idOffsets[index] ?? 0, first, first + this.#idBytes);
  }
}
