import type { Socket } from 'socket.io';
import { accountKey } from '../actor.ts';
import { LedgerEntry } from '../lib/byte-ledger.ts';
import type { ConnectionCaller } from './caller.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { ConnectionLog } from './connection-log.ts';
import type { BridgeDeps } from './deps.ts';
import { findChannel } from './dispatch.ts';
import { pauseReading, resumeReading } from './engine-io/server.ts';
import { CLIENT_DISCONNECT } from './engine-io/socket-io-parser.ts';
import { InboundQueue } from './inbound-queue.ts';
import type { LegacyEvent } from './inbound-queue.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { PacketTracker } from './packet-tracker.ts';
import { PreAuthQueue } from './pre-auth-queue.ts';

/** Memory that a queued event takes beside its payload. */
const EVENT_OVERHEAD_BYTES = 1_000;

export interface ReceivedEventsOptions {
  readonly socket: Socket;
  readonly deps: Pick<BridgeDeps, 'findToken' | 'ledgers' | 'turnClock'>;
  readonly limits: ConnectionLimits;
  readonly caller: ConnectionCaller;
  readonly outbound: OutboundQueue;
  readonly log: ConnectionLog;
  /** Whether the client may send an event again that was not acknowledged. */
  readonly mayRetry: boolean;
  readonly handle: (event: LegacyEvent) => Promise<void>;
  /** Called when the client sends more than its queues may hold. */
  readonly onSlow: (cause: string) => void;
  /** Called when the bytes of this client are needed for others: must close. */
  readonly onEvicted: () => void;
}

/** Receives the events of one connection, and queues them until they are handled, within limits of their count and bytes. */
export class ReceivedEvents {
  readonly #options: ReceivedEventsOptions;
  readonly #packetTracker = new PacketTracker();
  readonly #preAuthQueue: PreAuthQueue;
  readonly #queue: InboundQueue;
  /** The bytes of the queues. */
  readonly #heldBytes: LedgerEntry;
  #isOpen = true;
  #isDraining = false;

  /** Subscribes synchronously, before Socket.IO emits the first packet. */
  constructor(options: ReceivedEventsOptions) {
    const { socket, deps, limits, caller, outbound, log, onEvicted } = options;
    this.#options = options;
    this.#heldBytes = new LedgerEntry(deps.ledgers.inbound, () => caller.holder, onEvicted);
    this.#queue = new InboundQueue({
      turnClock: deps.turnClock,
      limits,
      flowOf: () => accountKey(caller.actor),
      handle: (event) => this.#handle(event),
      onTaken: () => this.#heldBytes.isCounted && this.#countBytes(),
      // A client that does not read the replies is not slowed down, but disconnected when the queue is full.
      canPause: () => outbound.isReady,
      onLong: () => pauseReading(socket.conn),
      onShort: () => resumeReading(socket.conn),
      onError: (error) => log.failed(error, 'event handling failed'),
    });
    this.#preAuthQueue = new PreAuthQueue({ limits, onFlush: (event) => this.#enqueue(event) });
    socket.conn.on('data', this.#trackPacket);
    // Unlike a listener of one event, `onAny` is called for events that arrive just before a close.
    socket.onAny((...event: unknown[]) => this.#receive(event));
    this.#enqueueHandshakeToken();
  }

  /** Whether events are accepted. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get length(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  /** Stops receiving after a close by the client. Runs the work after all events, those received with the close included. */
  finish(work: () => Promise<void>): void {
    // The Engine.IO connection may outlive this socket and carry the next one.
    this.#options.socket.conn.off('data', this.#trackPacket);
    // Socket.IO emits the events that were received with the close after `disconnect`, but in the same tick.
    setImmediate(() => {
      this.#preAuthQueue.flush();
      this.#queue.finish(work);
    });
  }

  /** Accepts no more events, and drops those that have not started. Does nothing the second time. */
  close(): void {
    this.#isOpen = false;
    this.#queue.drop();
    this.#preAuthQueue.discard();
    this.#heldBytes.release();
  }

  /**
   * Accepts no more events, but for the `authenticate` that queued ones wait for, some of which may be acknowledged
   * already. Resolves when all have run.
   */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await this.#preAuthQueue.whenEmpty();
    await this.#queue.whenIdle();
  }

  readonly #trackPacket = (data?: string | Buffer): void => this.#packetTracker.track(data);

  #countBytes(): void {
    const events = this.#queue.length + this.#preAuthQueue.length;
    const bytes = this.#queue.bytes + this.#preAuthQueue.bytes;
    this.#heldBytes.update(bytes + events * EVENT_OVERHEAD_BYTES);
  }

  /**
   * Queues the handshake token as an `authenticate` that the client sends first. If it is rejected, the app may still send
   * its own.
   */
  #enqueueHandshakeToken(): void {
    const { deps, socket } = this.#options;
    const found = deps.findToken(socket.request, socket.handshake.auth);
    if (found === undefined || found.isBlank === true) return;
    const argument = { token: found.token ?? null };
    this.#enqueue({ name: 'authenticate', argument, bytes: 0, isHandshake: true });
  }

  #receive(args: readonly unknown[]): void {
    const { bytes, ackId } = this.#packetTracker.takeEvent();
    if (!this.#isOpen) return;
    if (this.#isDraining && (args[0] !== 'authenticate' || this.#preAuthQueue.length === 0)) return;
    const last = args.at(-1);
    const ack = typeof last === 'function' ? () => void last() : undefined;
    const [name, argument] = ack === undefined ? args : args.slice(0, -1);
    const event: LegacyEvent = { name, argument, ack, bytes };
    // Queued events still run before the close that the client requests.
    if (name === CLIENT_DISCONNECT) this.#preAuthQueue.flush();
    if (name === 'authenticate') {
      this.#enqueue(event);
      this.#preAuthQueue.flush();
      return this.#countBytes();
    }
    const needsLogin = (findChannel(name)?.unauthenticatedError ?? null) !== null;
    // Clients count acknowledgement ids from 0 over all their connections: a greater id means that the client was connected
    // before, and so it will send `authenticate` again, once this event is acknowledged.
    const acknowledge = this.#options.mayRetry && ackId > 0 ? ack : undefined;
    if (!this.#preAuthQueue.add({ event, needsLogin, acknowledge })) this.#enqueue(event);
    this.#countBytes();
  }

  #enqueue(event: LegacyEvent): void {
    if (this.#isOpen && !this.#queue.push(event)) this.#options.onSlow('event queue full');
  }

  async #handle(event: LegacyEvent): Promise<void> {
    const { caller, outbound, handle } = this.#options;
    if (!outbound.isReady) {
      this.#queue.checkLength();
      await outbound.whenReady();
    }
    await handle(event);
    if (event.isHandshake === true && caller.actor !== undefined) this.#preAuthQueue.flush();
  }
}
