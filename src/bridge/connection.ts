import type { Socket } from 'socket.io';
import type { ActorRef } from '../actor.ts';
import type { ConnectionEnd, EndReason } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import { waitAtMost } from '../lib/timeout.ts';
import { ConnectionCaller } from './caller.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { ConnectionLog } from './connection-log.ts';
import { USER_NOT_FOUND } from './contract/channels.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import type { BridgeDeps } from './deps.ts';
import { mayRetryEvents, detectClient } from './engine-io/client-detection.ts';
import type { ClientKind } from './engine-io/client-detection.ts';
import { bufferedBytes, closeForRestart, queuedPackets, terminate, writeCorked } from './engine-io/server.ts';
import { CLIENT_DISCONNECT } from './engine-io/socket-io-parser.ts';
import { EventHandler } from './event-handler.ts';
import type { LegacyEvent } from './inbound-queue.ts';
import { OutboundQueue } from './outbound-queue.ts';
import { ReceivedEvents } from './received-events.ts';
import type { Rooms } from './rooms.ts';
import { createUsageCounter } from './usage-counter.ts';
import type { UsageCounter } from './usage-counter.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly deps: BridgeDeps;
  readonly rooms: Rooms;
  readonly limits: ConnectionLimits;
  readonly onAuthenticated: (account: ActorRef) => void;
  /** Called after all received events have run and all resources are released. */
  readonly onReleased: (connection: LegacyConnection) => void;
}

/** A legacy socket, from the connect until all events that it sent before its close have run. */
export class LegacyConnection {
  /** As logs and operators see it. Never the session id of Engine.IO: who knows that can act as the client. */
  readonly id: string;
  readonly address: string;
  readonly #socket: Socket;
  readonly #usage: UsageCounter;
  readonly #log: ConnectionLog;
  readonly #outbound: OutboundQueue;
  readonly #caller: ConnectionCaller;
  /** Open until the server closes the connection, or the last event before a client's close has run. */
  readonly #events: ReceivedEvents;
  /** Set and logged once. A client's close sets it before its last events have run. */
  #endReason: ConnectionEnd | undefined;
  #drained: Promise<void> | undefined;

  /** Subscribes synchronously, before Socket.IO emits the first packet. */
  constructor({ socket, deps, rooms, limits, onAuthenticated, onReleased }: ConnectionOptions) {
    this.id = deps.nextConnectionId('sio');
    this.address = deps.addressOf(socket.request);
    this.#socket = socket;
    const kind = detectClient(socket.handshake.query, socket.handshake.headers);
    const onSlow = (cause: string) => this.disconnectSlow(cause);
    const usage = createUsageCounter(deps, kind);
    const log = new ConnectionLog(deps, this.id, kind);
    const outbound = new OutboundQueue({
      socket,
      turnEnd: deps.turnEnd,
      limits,
      onSent: (channel) => deps.metrics.legacyFrames.inc({ channel }, 1),
      onSlow: () => onSlow('send queue full'),
    });
    const caller = new ConnectionCaller({
      connection: this.id,
      address: this.address,
      conn: socket.conn,
      deps,
      rooms,
      queue: outbound,
      log,
      forward: selectForwardChannels(socket, deps),
      onAuthenticated,
      onEnd: (reason) => this.end(reason),
      onGap: () => onSlow('events trimmed before delivery'),
    });
    const handler = new EventHandler({ socket, deps, limits, caller, outbound, usage, log, onSlow });
    this.#usage = usage;
    this.#log = log;
    this.#outbound = outbound;
    this.#caller = caller;
    this.#events = new ReceivedEvents({
      socket,
      deps,
      limits,
      caller,
      outbound,
      log,
      mayRetry: mayRetryEvents(kind),
      handle: (event) =>
        event.name === CLIENT_DISCONNECT ? this.#closeAsRequested(event) : handler.handle(event),
      onSlow,
      onEvicted: () => this.#terminate(),
    });
    socket.once('disconnect', (cause) => {
      this.#reportEnd(cause === 'ping timeout' ? 'SILENT' : 'CLIENT');
      this.#events.finish(() => this.#release().finally(() => onReleased(this)));
    });
  }

  get actor(): ActorRef | undefined {
    return this.#caller.actor;
  }

  get topics(): readonly Topic[] {
    return this.#caller.topics;
  }

  get kind(): ClientKind {
    return this.#log.kind;
  }

  get startedAt(): number {
    return this.#log.startedAt;
  }

  get transport(): string {
    return this.#socket.conn.transport.name;
  }

  /** Whether it is open, and neither the client nor the server has started to close it. */
  get isOpen(): boolean {
    return this.#events.isOpen && this.#endReason === undefined && this.#drained === undefined;
  }

  /** Packets and frames that the client has not been sent. */
  get waitingFrames(): number {
    return queuedPackets(this.#socket.conn) + this.#outbound.heldFrames;
  }

  /** Approximate bytes that the client has not read. */
  get waitingBytes(): number {
    return bufferedBytes(this.#socket.conn) + this.#outbound.heldBytes;
  }

  /** Counts the connection in the usage of today. */
  countUsage(): void {
    this.#usage.countConnection(this.actor);
  }

  /** Closes the connection from the server's side. Sends `User not found` first if its session has ended. */
  end(reason: EndReason): void {
    if (!this.#events.isOpen) return;
    if (reason === 'SLOW') return this.#terminate();
    const sessionEnded =
      reason === 'LOGGED_OUT' || reason === 'TOKEN_EXPIRED' || reason === 'ACCOUNT_DELETED';
    if (reason === 'ACCOUNT_DELETED') {
      // The deletion's frames for rooms were committed with it. Those received by this node are held if an event is
      // being handled: send them before the close.
      this.#outbound.dropPendingJoin();
      this.#outbound.flushHeld();
    }
    if (sessionEnded) this.#outbound.send([{ channel: 'error', payload: USER_NOT_FOUND }]);
    void this.#close(reason);
    this.#socket.disconnect(true);
    writeCorked(this.#socket.conn);
  }

  /**
   * Waits for the received events, closes so that the client reconnects, and resolves when all is released. Does so once,
   * however often it is called.
   */
  drain(reason: 'DRAINING' | 'OPERATOR', timeoutMs: number): Promise<void> {
    return (this.#drained ??= this.#drain(reason, timeoutMs));
  }

  /** Drains the connection. A client that does not read what it was sent is disconnected. */
  async endByOperator(timeoutMs: number): Promise<void> {
    await this.drain('OPERATOR', timeoutMs);
    terminate(this.#socket.conn);
  }

  async #drain(reason: 'DRAINING' | 'OPERATOR', timeoutMs: number): Promise<void> {
    await waitAtMost(timeoutMs, this.#events.drain());
    const released = this.#close(reason);
    const closed = closeForRestart(this.#socket.conn);
    await waitAtMost(timeoutMs, Promise.all([released, closed]));
  }

  /** Disconnects a client that is too slow, or holds too much, without waiting for it. */
  disconnectSlow(cause: string): void {
    if (!this.#events.isOpen) return;
    const { conn } = this.#socket;
    this.#log.disconnecting(cause, {
      queuedPackets: queuedPackets(conn),
      bufferedBytes: bufferedBytes(conn),
      queuedEvents: this.#events.length,
      queuedBytes: this.#events.bytes,
      heldFrames: this.#outbound.heldFrames,
      heldBytes: this.#outbound.heldBytes,
    });
    this.#terminate();
  }

  #terminate(): void {
    if (!this.#events.isOpen) return;
    void this.#close('SLOW');
    terminate(this.#socket.conn);
  }

  async #close(reason: EndReason): Promise<void> {
    this.#events.close();
    this.#outbound.close();
    this.#reportEnd(reason);
    try {
      // Does not wait for work in flight, which releases what it opens later.
      await this.#release();
    } catch (error) {
      this.#log.failed(error, 'connection cleanup failed');
    }
  }

  #reportEnd(reason: ConnectionEnd): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#log.closed(reason);
  }

  /** Closes the connection because the client has sent `disconnect`. */
  async #closeAsRequested({ ack }: LegacyEvent): Promise<void> {
    this.#events.close();
    ack?.();
    this.#socket.disconnect();
  }

  async #release(): Promise<void> {
    this.#events.close();
    this.countUsage();
    await this.#caller.release(this.#endReason ?? 'CLIENT');
  }
}

/** Returns the channels of forwarded payloads. A client that sends no `EIO` restarts its call on any `webrtc_config`. */
function selectForwardChannels({ handshake }: Socket, { config }: BridgeDeps): ForwardChannels {
  const sendsEio = handshake.query['EIO'] !== undefined;
  return (
    config.LEGACY_FORWARD_CHANNELS ?? (sendsEio ? ['webrtc_forward', 'webrtc_config'] : ['webrtc_forward'])
  );
}
