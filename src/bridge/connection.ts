import type { Socket } from 'socket.io';
import type { ActorRef } from '../actor.ts';
import type { ConnectionEnd, EndReason } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import { LedgerEntry } from '../lib/byte-ledger.ts';
import { withTimeout } from '../lib/timeout.ts';
import { ConnectionCaller } from './caller.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { ConnectionLog } from './connection-log.ts';
import type { Channel, Reply } from './contract/channel-types.ts';
import { USER_NOT_FOUND } from './contract/channels.ts';
import type { Frame } from './contract/encoders.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import type { BridgeDeps } from './deps.ts';
import { dispatch, findChannel, rejectEvent } from './dispatch.ts';
import { mayRetryEvents, detectClient } from './engine-io/client-detection.ts';
import {
  bufferedBytes,
  closeForRestart,
  pauseReading,
  queuedPackets,
  resumeReading,
  terminate,
} from './engine-io/server.ts';
import { chargeEvent, chargeRejectedLogin } from './event-charge.ts';
import { CLIENT_DISCONNECT } from './engine-io/socket-io-parser.ts';
import { createInboundQueue } from './inbound-queue.ts';
import type { InboundQueue } from './inbound-queue.ts';
import { createOutboundQueue } from './outbound-queue.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { PacketTracker } from './packet-tracker.ts';
import { PreAuthQueue } from './pre-auth-queue.ts';
import type { Rooms } from './rooms.ts';
import { createUsageCounter } from './usage-counter.ts';
import type { UsageCounter } from './usage-counter.ts';

/** Memory that a queued event takes beside its payload. */
const EVENT_OVERHEAD_BYTES = 1_000;

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly deps: BridgeDeps;
  readonly rooms: Rooms;
  readonly limits: ConnectionLimits;
  readonly onAuthenticated: () => void;
  /** Called after all received events have run and all resources are released. */
  readonly onReleased: (connection: LegacyConnection) => void;
}

/** A legacy socket, from the connect until all events that it sent before its close have run. */
export class LegacyConnection {
  readonly id: string;
  readonly #socket: Socket;
  readonly #deps: BridgeDeps;
  readonly #limits: ConnectionLimits;
  readonly #usage: UsageCounter;
  readonly #log: ConnectionLog;
  readonly #inbound: InboundQueue;
  readonly #outbound: OutboundQueue;
  readonly #caller: ConnectionCaller;
  readonly #preAuthQueue: PreAuthQueue;
  readonly #heldBytes: LedgerEntry;
  readonly #packetTracker = new PacketTracker();
  readonly #mayRetry: boolean;
  /** `closing`: no more events are accepted. */
  #state: 'open' | 'closing' = 'open';
  /** Set and logged once. A client's close sets it in state `open`: the events received before the close still run. */
  #endReason: ConnectionEnd | undefined;

  /** Subscribes synchronously, before Socket.IO emits the first packet. */
  constructor({ socket, deps, rooms, limits, onAuthenticated, onReleased }: ConnectionOptions) {
    this.id = socket.id;
    this.#socket = socket;
    this.#deps = deps;
    this.#limits = limits;
    const kind = detectClient(socket.handshake.query, socket.handshake.headers);
    this.#mayRetry = mayRetryEvents(kind);
    this.#usage = createUsageCounter(deps, kind);
    this.#log = new ConnectionLog(deps, socket.id, kind);
    this.#inbound = createInboundQueue({
      turnClock: deps.turnClock,
      priority: () => (this.actor === undefined ? 'anonymous' : 'account'),
      maxEvents: limits.queuedEvents,
      maxBytes: limits.queuedBytes,
      // A client that does not read the replies is not slowed down, but disconnected when the queue is full.
      canPause: () => this.#outbound.isReady,
      onTaken: () => this.#heldBytes.isCounted && this.#countHeldBytes(),
      onLong: () => pauseReading(socket.conn),
      onShort: () => resumeReading(socket.conn),
      onError: (error) => this.#log.failed(error, 'event handling failed'),
    });
    this.#preAuthQueue = new PreAuthQueue({
      timeoutMs: limits.preAuthTimeoutMs,
      maxEvents: limits.preAuthEvents,
      maxBytes: limits.preAuthBytes,
      onFlush: ({ bytes, work }) => this.#enqueue(bytes, work),
    });
    this.#outbound = createOutboundQueue({
      socket,
      limits,
      onSent: (channel) => deps.metrics.legacyFrames.inc({ channel }, 1),
      onSlow: () => this.#disconnectSlow('send queue full'),
    });
    this.#caller = new ConnectionCaller({
      connection: socket.id,
      address: deps.addressOf(socket.request),
      deps,
      rooms,
      queue: this.#outbound,
      log: this.#log,
      forward: selectForwardChannels(socket, deps),
      onAuthenticated,
      onEnd: (reason) => this.end(reason),
      onGap: () => this.#disconnectSlow('events trimmed before delivery'),
    });
    this.#heldBytes = new LedgerEntry(
      deps.ledgers.inbound,
      () => (this.actor === undefined ? 'anonymous' : 'account'),
      () => this.#terminate(),
    );
    const trackPacket = (data?: string | Buffer): void => {
      this.#packetTracker.track(data);
      this.#countHeldBytes();
      if (this.#packetTracker.bytes > limits.queuedBytes) this.#disconnectSlow('incomplete packet too large');
    };
    socket.conn.on('data', trackPacket);
    // Unlike a listener of one event, `onAny` is called for events that arrive just before a close.
    socket.onAny((...event: unknown[]) => this.#receive(event));
    socket.once('disconnect', (cause) => {
      this.#reportEnd(cause === 'ping timeout' ? 'SILENT' : 'CLIENT');
      // The Engine.IO connection may outlive this socket and carry the next one.
      socket.conn.off('data', trackPacket);
      // Socket.IO emits the events that were received with the close after `disconnect`, but in the same tick.
      setImmediate(() => {
        this.#preAuthQueue.flush();
        this.#inbound.finish(() => this.#release().finally(() => onReleased(this)));
      });
    });
    this.#authenticateFromHandshake();
  }

  get actor(): ActorRef | undefined {
    return this.#caller.actor;
  }

  get topics(): readonly Topic[] {
    return this.#caller.topics;
  }

  /** Counts the connection in the usage of today. */
  countUsage(): void {
    this.#usage.countConnection(this.actor);
  }

  /** Closes the connection from the server's side. Sends `User not found` first if its session has ended. */
  end(reason: EndReason): void {
    if (this.#state !== 'open') return;
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
  }

  /** Waits for the event in flight, closes so that the client reconnects, and resolves when all is released. */
  async drain(timeoutMs: number): Promise<void> {
    this.#stopReceiving();
    await waitAtMost(timeoutMs, this.#inbound.whenIdle());
    const released = this.#close('DRAINING');
    closeForRestart(this.#socket.conn);
    await waitAtMost(timeoutMs, released);
  }

  #disconnectSlow(cause: string): void {
    if (this.#state !== 'open') return;
    const { conn } = this.#socket;
    this.#log.disconnecting(cause, {
      queuedPackets: queuedPackets(conn),
      bufferedBytes: bufferedBytes(conn),
      queuedEvents: this.#inbound.length,
      queuedBytes: this.#inbound.bytes,
      heldFrames: this.#outbound.heldFrames,
      heldBytes: this.#outbound.heldBytes,
    });
    this.#terminate();
  }

  #terminate(): void {
    if (this.#state !== 'open') return;
    void this.#close('SLOW');
    terminate(this.#socket.conn);
  }

  async #close(reason: EndReason): Promise<void> {
    this.#stopReceiving();
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

  #countHeldBytes(): void {
    const events = this.#inbound.length + this.#preAuthQueue.length;
    const bytes = this.#packetTracker.bytes + this.#inbound.bytes + this.#preAuthQueue.bytes;
    this.#heldBytes.update(bytes + events * EVENT_OVERHEAD_BYTES);
  }

  #stopReceiving(): void {
    this.#state = 'closing';
    this.#inbound.drop();
    this.#preAuthQueue.discard();
    this.#heldBytes.release();
  }

  /**
   * Handles the handshake token as an `authenticate` that the client sends first. If it is rejected, the app may still send
   * its own. Clients of protocol 3 receive no error: their servers ignored the handshake, and the token may be a proxy's.
   */
  #authenticateFromHandshake(): void {
    const handshakeToken = this.#deps.findToken(this.#socket.request, this.#socket.handshake.auth);
    if (handshakeToken === undefined || handshakeToken.isBlank === true) return;
    this.#enqueue(0, async () => {
      const sendsErrors = this.#socket.conn.protocol === 4;
      await this.#handle(
        'authenticate',
        { token: handshakeToken.token ?? null },
        undefined,
        () => sendsErrors || this.actor !== undefined,
      );
      if (this.actor !== undefined) this.#preAuthQueue.flush();
    });
  }

  #receive(event: readonly unknown[]): void {
    const { bytes, ackId } = this.#packetTracker.takeEvent();
    if (this.#state !== 'open') return;
    const last = event.at(-1);
    const ack = typeof last === 'function' ? () => void last() : undefined;
    const [name, argument] = ack === undefined ? event : event.slice(0, -1);
    const work = async (): Promise<void> => {
      if (!this.#outbound.isReady) {
        this.#inbound.checkLength();
        await this.#outbound.whenReady();
      }
      await this.#handle(name, argument, ack);
    };
    // Queued events still run before the close that the client requests.
    if (name === CLIENT_DISCONNECT) this.#preAuthQueue.flush();
    if (name === 'authenticate') {
      this.#enqueue(bytes, work);
      this.#preAuthQueue.flush();
      return;
    }
    const needsLogin = (findChannel(name)?.unauthenticatedError ?? null) !== null;
    // Clients count acknowledgement ids from 0 over all their connections: a greater id means that the client was connected
    // before, and so it will send `authenticate` again, once this event is acknowledged.
    const acknowledge = this.#mayRetry && ackId > 0 ? ack : undefined;
    if (!this.#preAuthQueue.add({ needsLogin, bytes, work, acknowledge })) this.#enqueue(bytes, work);
  }

  #enqueue(bytes: number, work: () => Promise<void>): void {
    if (this.#state === 'open' && !this.#inbound.push(bytes, work)) this.#disconnectSlow('event queue full');
  }

  /** Handles an event. Sends its reply, then the room frames that were held for it, then the empty acknowledgement. */
  async #handle(
    name: unknown,
    argument: unknown,
    ack: (() => void) | undefined,
    sendsReply = () => true,
  ): Promise<void> {
    if (name === CLIENT_DISCONNECT) {
      this.#stopReceiving();
      ack?.();
      this.#socket.disconnect();
      return;
    }
    const channel = findChannel(name);
    const refusal = await chargeEvent(this.#deps.budgets, this.#caller.payer, name === 'authenticate');
    if (channel !== undefined) {
      this.#caller.isHandlingEvent = true;
      const { frames, replay } =
        refusal === undefined ? await this.#dispatch(channel, argument) : rejectEvent(channel, refusal);
      // After `authenticate`, the event counts for the new account.
      this.#usage.countEvent(channel.name, this.actor);
      if (sendsReply()) this.#outbound.send(frames);
      this.#caller.startDelivery();
      if (replay !== undefined) await this.#sendReplay(replay);
      this.#caller.isHandlingEvent = false;
      this.#outbound.flushHeld();
    }
    if (this.#socket.connected) ack?.();
    if (refusal !== undefined) await this.#deps.budgets.pauseAfter(refusal);
  }

  async #dispatch(channel: Channel, argument: unknown): Promise<Reply> {
    const reply = await dispatch(channel, argument, {
      caller: this.#caller,
      isLoggedIn: this.actor !== undefined,
      timeoutMs: this.#limits.eventTimeoutMs,
      onError: (error) => this.#log.failed(error, 'event failed', { channel: channel.name }),
      onTimeout: () => setImmediate(() => this.#disconnectSlow('event timed out')),
    });
    if (channel.name === 'authenticate' && this.actor === undefined)
      chargeRejectedLogin(this.#deps.budgets, this.#caller.payer);
    return reply;
  }

  async #sendReplay(replay: AsyncIterable<Frame>): Promise<void> {
    try {
      await this.#outbound.sendReplay(replay);
    } catch (error) {
      this.#log.failed(error, 'replay failed');
      // Otherwise the client would continue with a gap.
      this.#disconnectSlow('replay failed');
    }
  }

  async #release(): Promise<void> {
    this.#state = 'closing';
    this.#heldBytes.release();
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

/** Waits for the work at most this time. Ignores a timeout and errors of the work: the connection closes in any case. */
async function waitAtMost(ms: number, work: Promise<void>): Promise<void> {
  try {
    await withTimeout(ms, work);
  } catch {
    // The close ends the work that is still in flight.
  }
}
