import type { Socket } from 'socket.io';
import type { ErrorCode } from '../errors.ts';
import type { ConnectionCaller } from './caller.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { ConnectionLog } from './connection-log.ts';
import type { Channel, Reply } from './contract/channel-types.ts';
import type { Frame } from './contract/encoders.ts';
import type { BridgeDeps } from './deps.ts';
import { dispatch, findChannel, rejectEvent } from './dispatch.ts';
import type { Outcome } from './dispatch.ts';
import { chargeEvent, chargeRejectedLogin } from './event-charge.ts';
import type { LegacyEvent } from './inbound-queue.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import type { UsageCounter } from './usage-counter.ts';

export interface EventHandlerOptions {
  readonly socket: Socket;
  readonly deps: Pick<BridgeDeps, 'budgets' | 'metrics' | 'tracing'>;
  readonly limits: Pick<ConnectionLimits, 'eventTimeoutMs'>;
  readonly caller: ConnectionCaller;
  readonly outbound: OutboundQueue;
  readonly usage: UsageCounter;
  readonly log: ConnectionLog;
  /** Called when the client cannot be served without a gap or in time: must close. */
  readonly onSlow: (cause: string) => void;
}

/** Handles the events of one connection: charges them, runs them, and sends their replies. */
export class EventHandler {
  readonly #options: EventHandlerOptions;

  constructor(options: EventHandlerOptions) {
    this.#options = options;
  }

  /** Sends the reply to an event, then the room frames that were held for it, then the empty acknowledgement. */
  async handle(event: LegacyEvent): Promise<void> {
    const { caller, deps, socket } = this.#options;
    const startedAt = performance.now();
    const channel = findChannel(event.name);
    const refusal = await chargeEvent(deps.budgets, caller.payer, event.name === 'authenticate');
    if (channel !== undefined) {
      caller.isHandlingEvent = true;
      const reply =
        refusal === undefined ? await this.#run(channel, event.argument) : rejectEvent(channel, refusal);
      this.#measure(channel, reply.errorCode, startedAt);
      await this.#send(channel, event, reply);
    }
    if (socket.connected) event.ack?.();
    if (refusal !== undefined) await deps.budgets.pause(refusal.details.retryAfterMs);
  }

  #run(channel: Channel, argument: unknown): Promise<Outcome> {
    const { caller, deps } = this.#options;
    if (deps.tracing === undefined) return this.#dispatch(channel, argument);
    const attributes = {
      'messaging.system': 'socket.io',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': channel.name,
      'parley.connection.id': caller.connection,
    };
    return deps.tracing.run(`process ${channel.name}`, { kind: 'consumer', attributes }, async (span) => {
      const outcome = await this.#dispatch(channel, argument);
      const { errorCode: code } = outcome;
      if (code !== undefined) span.fail(code, code === 'INTERNAL' || code === 'UNAVAILABLE');
      return outcome;
    });
  }

  async #dispatch(channel: Channel, argument: unknown): Promise<Outcome> {
    const { caller, deps, limits, log, onSlow } = this.#options;
    const reply = await dispatch(channel, argument, {
      caller,
      isLoggedIn: caller.actor !== undefined,
      timeoutMs: limits.eventTimeoutMs,
      onError: (error) => log.failed(error, 'event failed', { channel: channel.name }),
      onTimeout: () => setImmediate(() => onSlow('event timed out')),
    });
    if (channel.name === 'authenticate' && caller.actor === undefined)
      chargeRejectedLogin(deps.budgets, caller.payer);
    return reply;
  }

  #measure({ name: channel }: Channel, code: ErrorCode | undefined, startedAt: number): void {
    const { legacyEventDuration, errors } = this.#options.deps.metrics;
    const outcome = code === undefined ? 'ok' : 'error';
    legacyEventDuration.observe({ channel, outcome }, (performance.now() - startedAt) / 1000);
    if (code !== undefined) errors.inc({ transport: 'socket.io', code });
  }

  async #send(channel: Channel, event: LegacyEvent, { frames, replay }: Reply): Promise<void> {
    const { caller, outbound, usage } = this.#options;
    // After `authenticate`, the event counts for the new account.
    usage.countEvent(channel.name, caller.actor);
    if (this.#sendsReply(event)) outbound.send(frames);
    caller.startDelivery();
    if (replay !== undefined) await this.#sendReplay(replay);
    caller.isHandlingEvent = false;
    outbound.flushHeld();
  }

  /**
   * A rejected handshake token of protocol 3 has no reply: the servers of these clients ignored the handshake, and the token
   * may be a proxy's.
   */
  #sendsReply({ isHandshake }: LegacyEvent): boolean {
    const { caller, socket } = this.#options;
    return isHandshake !== true || socket.conn.protocol === 4 || caller.actor !== undefined;
  }

  async #sendReplay(replay: AsyncIterable<Frame>): Promise<void> {
    const { log, onSlow, outbound } = this.#options;
    try {
      await outbound.sendReplay(replay);
    } catch (error) {
      log.failed(error, 'replay failed');
      // Otherwise the client would continue with a gap.
      onSlow('replay failed');
    }
  }
}
