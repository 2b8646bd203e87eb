import type { Socket } from 'socket.io';
import type { ConnectionEnd, EndReason } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import { ConnectionCaller } from './caller.ts';
import { ConnectionLog } from './connection-log.ts';
import { USER_NOT_FOUND } from './contract/channels.ts';
import { withTimeout } from '../lib/timeout.ts';
import type { BridgeDeps } from './deps.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { mayRetryEvents, recognizeClient } from './engine-io/client-detection.ts';
import { dispatch, findChannel } from './dispatch.ts';
import { createInboundQueue } from './inbound-queue.ts';
import type { InboundQueue } from './inbound-queue.ts';
import type { Frame } from './contract/encoders.ts';
import { LoginHold } from './login-hold.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import { createOutboundQueue } from './outbound-queue.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { PacketMeter } from './packet-meter.ts';
import { CLIENT_DISCONNECT } from './engine-io/socket-io-parser.ts';
import type { Rooms } from './rooms.ts';
import { bufferedBytes, closeForRestart, queuedPackets, terminate } from './engine-io/server.ts';
import { createUsageCounter } from './usage-counter.ts';
import type { UsageCounter } from './usage-counter.ts';
import type { ActorRef } from '../actor.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly deps: BridgeDeps;
  readonly rooms: Rooms;
  readonly limits: ConnectionLimits;
  /** Called after all received events have run and all resources are released. */
  readonly onReleased: (connection: Connection) => void;
}

/** One legacy socket, from the connect until all events that it sent before its close have run. */
export class Connection {
  readonly id: string;
  readonly #socket: Socket;
  readonly #deps: BridgeDeps;
  readonly #limits: ConnectionLimits;
  readonly #usage: UsageCounter;
  readonly #log: ConnectionLog;
  readonly #inbound: InboundQueue;
  readonly #outbound: OutboundQueue;
  readonly #caller: ConnectionCaller;
  readonly #hold: LoginHold;
  readonly #meter = new PacketMeter();
  readonly #mayRetry: boolean;
  /** `closing`: no more events are accepted. */
  #state: 'open' | 'closing' = 'open';
  /** Set and logged once. A client's close sets it in state `open`: the events received before the close still run. */
  #endReason: ConnectionEnd | undefined;

  /** Subscribes synchronously, before Socket.IO emits the first packet. */
  constructor({ socket, deps, rooms, limits, onReleased }: ConnectionOptions) {
    this.id = socket.id;
    this.#socket = socket;
    this.#deps = deps;
    this.#limits = limits;
    const kind = recognizeClient(socket.handshake.query, socket.handshake.headers);
    this.#mayRetry = mayRetryEvents(kind);
    this.#usage = createUsageCounter(deps, kind);
    this.#log = new ConnectionLog(deps, socket.id, kind);
    this.#inbound = createInboundQueue({
      maxEvents: limits.queuedEvents,
      maxBytes: limits.queuedBytes,
      onError: (error) => this.#log.failed(error, 'event handling failed'),
    });
    this.#hold = new LoginHold({
      ms: limits.holdMs,
      maxEvents: limits.heldEvents,
      maxBytes: limits.heldBytes,
      onRelease: ({ bytes, work }) => this.#enqueue(bytes, work),
    });
    this.#outbound = createOutboundQueue({
      socket,
      limits,
      onSent: (channel) => deps.metrics.legacyFrames.inc({ channel }, 1),
      onSlow: () => this.#disconnectSlow('send queue full'),
    });
    this.#caller = new ConnectionCaller({
      deps,
      rooms,
      queue: this.#outbound,
      log: this.#log,
      forward: forwardChannels(socket, deps),
      onEnd: (reason) => this.end(reason),
      onGap: () => this.#disconnectSlow('events trimmed before delivery'),
    });
    const measure = (data?: string | Buffer): void => {
      this.#meter.add(data);
      if (this.#meter.bytes > limits.queuedBytes) this.#disconnectSlow('incomplete packet too large');
    };
    socket.conn.on('data', measure);
    // Unlike a listener of one event, `onAny` is called for events that arrive just before a close.
    socket.onAny((...event: unknown[]) => this.#receive(event));
    socket.once('disconnect', (cause) => {
      this.#reportEnd(cause === 'ping timeout' ? 'SILENT' : 'CLIENT');
      // The Engine.IO connection may outlive this socket and carry the next one.
      socket.conn.off('data', measure);
      // Socket.IO emits the events that were received with the close after `disconnect`, but in the same tick.
      setImmediate(() => {
        this.#hold.end();
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

  /** Closes the connection for a reason of the server. Sends `User not found` first if its session has ended. */
  end(reason: EndReason): void {
    if (this.#state !== 'open') return;
    const sessionEnded =
      reason === 'LOGGED_OUT' || reason === 'TOKEN_EXPIRED' || reason === 'ACCOUNT_DELETED';
    if (reason === 'ACCOUNT_DELETED') {
      // The deletion's frames for rooms were committed with it. Those received by this node are held if an event is
      // being handled: send them before the close.
      this.#outbound.dropPendingJoin();
      this.#outbound.release();
    }
    if (sessionEnded) this.#outbound.send([{ channel: 'error', payload: USER_NOT_FOUND }]);
    void this.#close(reason);
    this.#socket.disconnect(true);
  }

  /** Waits for the event in flight, closes so that the client reconnects, and resolves when all is released. */
  async drain(timeoutMs: number): Promise<void> {
    this.#stopReceiving();
    await ignoreTimeout(timeoutMs, this.#inbound.idle());
    const released = this.#close('DRAINING');
    closeForRestart(this.#socket.conn);
    await ignoreTimeout(timeoutMs, released);
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
    void this.#close('SLOW');
    terminate(conn);
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
    this.#log.ended(reason);
  }

  #stopReceiving(): void {
    this.#state = 'closing';
    this.#inbound.drop();
    this.#hold.drop();
  }

  /**
   * Handles a token of the handshake as an `authenticate` sent first. If it is refused, the app may still send its own.
   * Protocol 3 has no handshake token, and its apps may send a token of something else: a refusal is not sent to them.
   */
  #authenticateFromHandshake(): void {
    const found = this.#deps.findToken(this.#socket.request, this.#socket.handshake.auth);
    if (found === undefined || found.isBlank === true) return;
    this.#enqueue(0, async () => {
      const repliesToRefusal = this.#socket.conn.protocol === 4;
      await this.#handle(
        'authenticate',
        { token: found.token ?? null },
        undefined,
        () => repliesToRefusal || this.actor !== undefined,
      );
      if (this.actor !== undefined) this.#hold.end();
    });
  }

  #receive(event: readonly unknown[]): void {
    const { bytes, ackId } = this.#meter.take();
    if (this.#state !== 'open') return;
    const last = event.at(-1);
    const ack = typeof last === 'function' ? () => void last() : undefined;
    const [name, argument] = ack === undefined ? event : event.slice(0, -1);
    const work = async (): Promise<void> => {
      await this.#outbound.ready();
      await this.#handle(name, argument, ack);
    };
    // Held events still run before the close that the client requests.
    if (name === CLIENT_DISCONNECT) this.#hold.end();
    if (name === 'authenticate') {
      this.#enqueue(bytes, work);
      this.#hold.end();
      return;
    }
    const needsLogin = (findChannel(name)?.anonymous ?? null) !== null;
    // Only a client that reconnects, and logs in again, waits for an acknowledgement: a later id than 0 shows it.
    const acknowledge = this.#mayRetry && ackId > 0 ? ack : undefined;
    if (!this.#hold.hold({ needsLogin, bytes, work, acknowledge })) this.#enqueue(bytes, work);
  }

  #enqueue(bytes: number, work: () => Promise<void>): void {
    if (this.#state === 'open' && !this.#inbound.push(bytes, work)) this.#disconnectSlow('event queue full');
  }

  /** Handles an event. Sends, in the contract's order, the reply, the room frames held meanwhile, and the empty ack. */
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
    if (channel !== undefined) {
      this.#caller.replying = true;
      const { frames, replay } = await dispatch(channel, argument, {
        caller: this.#caller,
        isLoggedIn: this.actor !== undefined,
        timeoutMs: this.#limits.eventMs,
        onError: (error) => this.#log.failed(error, 'event failed', { channel: channel.name }),
        onTimeout: () => setImmediate(() => this.#disconnectSlow('event timed out')),
      });
      // After `authenticate`, the event counts for the new account.
      this.#usage.countEvent(channel.name, this.actor);
      if (sendsReply()) this.#outbound.send(frames);
      this.#caller.startDelivery();
      if (replay !== undefined) await this.#sendReplay(replay);
      this.#caller.replying = false;
      this.#outbound.release();
    }
    if (this.#socket.connected) ack?.();
  }

  async #sendReplay(replay: AsyncIterable<Frame>): Promise<void> {
    try {
      await this.#outbound.sendPaced(replay);
    } catch (error) {
      this.#log.failed(error, 'replay failed');
      // Otherwise the client would continue with a gap.
      this.#disconnectSlow('replay failed');
    }
  }

  async #release(): Promise<void> {
    this.#state = 'closing';
    this.countUsage();
    await this.#caller.release(this.#endReason ?? 'CLIENT');
  }
}

/** Decision 1: a client that sends no `EIO` restarts its call on any `webrtc_config`. */
function forwardChannels({ handshake }: Socket, { config }: BridgeDeps): ForwardChannels {
  const sendsEio = handshake.query['EIO'] !== undefined;
  return (
    config.LEGACY_FORWARD_CHANNELS ?? (sendsEio ? ['webrtc_forward', 'webrtc_config'] : ['webrtc_forward'])
  );
}

async function ignoreTimeout(ms: number, work: Promise<void>): Promise<void> {
  try {
    await withTimeout(ms, work);
  } catch {
    // The close that follows ends the work that is still in flight.
  }
}
