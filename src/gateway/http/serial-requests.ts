import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { LedgerEntry } from '../../lib/byte-ledger.ts';
import type { ByteLedgers } from '../../lib/byte-ledger.ts';

/** Pending requests per connection (HTTP/1.1 pipelining). Browsers send one. */
const MAX_PIPELINED_REQUESTS = 100;
/** Memory that a pending request takes beside its head. */
const REQUEST_OVERHEAD_BYTES = 1_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
type Pending = Parameters<Handler>;

/** The requests of a connection that have arrived. */
interface RequestQueue {
  /** The response to the request that is handled. */
  response: ServerResponse;
  readonly waiting: Pending[];
  waitingBytes: number;
  /** Undefined until a request waits. */
  held: LedgerEntry | undefined;
}

/**
 * Handles the requests of a connection one after the other. Node emits pipelined requests concurrently, and would hold
 * the responses of all of them for a client that does not read: here a request starts when the response before it has
 * been handed to the operating system. Destroys a connection with too many pending requests. Their heads count as bytes of
 * an anonymous client, as their tokens have not been checked.
 */
export class SerialRequests {
  readonly #handle: Handler;
  readonly #ledgers: ByteLedgers['inbound'];
  /** By connection; no entry for an idle one. */
  readonly #queues = new WeakMap<Duplex, RequestQueue>();

  constructor(handle: Handler, ledgers: ByteLedgers['inbound']) {
    this.#handle = handle;
    this.#ledgers = ledgers;
  }

  receive(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const queue = this.#queues.get(socket);
    if (queue === undefined) {
      const started = { response, waiting: [], waitingBytes: 0, held: undefined };
      this.#queues.set(socket, started);
      return this.#start(started, [request, response]);
    }
    if (queue.waiting.push([request, response]) >= MAX_PIPELINED_REQUESTS) return void socket.destroy();
    queue.held ??= new LedgerEntry(
      this.#ledgers,
      () => ({}),
      () => socket.destroy(),
    );
    this.#count(queue, headBytes(request));
  }

  /** Whether bytes of a response have been sent on the connection since it was idle. */
  hasResponse(socket: Duplex): boolean {
    return this.#queues.get(socket)?.response.headersSent === true;
  }

  #start(queue: RequestQueue, [request, response]: Pending): void {
    queue.response = response;
    // Also emitted when the connection is lost, for the response that it would have sent.
    response.once('close', () => this.#startNext(queue, request.socket));
    this.#handle(request, response);
  }

  #startNext(queue: RequestQueue, socket: Duplex): void {
    const next = socket.writable ? queue.waiting.shift() : undefined;
    if (next === undefined) {
      queue.held?.release();
      this.#queues.delete(socket);
      return;
    }
    this.#count(queue, -headBytes(next[0]));
    this.#start(queue, next);
  }

  #count(queue: RequestQueue, bytes: number): void {
    queue.waitingBytes += bytes;
    queue.held?.update(queue.waitingBytes);
  }
}

const headBytes = ({ rawHeaders }: IncomingMessage): number =>
  rawHeaders.reduce((bytes, text) => bytes + text.length, REQUEST_OVERHEAD_BYTES);
