import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { Socket } from 'socket.io';
import { DomainError, notFound, unauthenticated } from '../errors.ts';
import type { ConnectionEnd, EndReason, ErrorCode } from '../errors.ts';
import { parseCursor } from '../events/cursor.ts';
import type { Topic } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import { openAccount } from './account.ts';
import type { Account } from './account.ts';
import { openCatchUp } from './replay.ts';
import type { Caller, Permission, ReplayFrom } from './contract/channel-types.ts';
import { USER_NOT_FOUND } from './contract/channels.ts';
import { withTimeout } from '../lib/timeout.ts';
import type { BridgeDeps, BridgeLimits } from './deps.ts';
import { mayRetryEvents, recogniseClient } from './engine-io/client-detection.ts';
import { channelOf, dispatch } from './dispatch.ts';
import { createEventQueue } from './inbound-queue.ts';
import type { EventQueue } from './inbound-queue.ts';
import type { Frame } from './contract/encoders.ts';
import { createLoginHold } from './login-hold.ts';
import type { LoginHold } from './login-hold.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import { createOutboundQueue } from './outbound-queue.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { CLIENT_DISCONNECT } from './engine-io/socket-io-parser.ts';
import type { RoomMember, Rooms } from './rooms.ts';
import { closeForRestart, cutOff } from './engine-io/server.ts';
import { createUseCounter } from './usage-counter.ts';
import type { UseCounter } from './usage-counter.ts';
import type { ActorRef } from '../actor.ts';
import { sameActor } from '../actor.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly deps: BridgeDeps;
  readonly rooms: Rooms;
  readonly limits: BridgeLimits;
  /** Called once all that it sent has run and all that it held is given back. */
  readonly onLeft: (connection: Connection) => void;
}

/** The text of an event's packet: `2`, the attachments of a binary one, the namespace `/`, and the acknowledgement. */
const EVENT = /^(?:2|5\d+-)(?:\/,)?(\d+)?\[/;

/** One legacy socket, from its connecting until all that it sent before it closed has run. */
export class Connection implements Caller, RoomMember {
  readonly id: string;
  /** Whether an event is under way, before whose answer nothing of a room is heard. */
  replying = false;
  readonly #socket: Socket;
  readonly #deps: BridgeDeps;
  readonly #rooms: Rooms;
  readonly #limits: BridgeLimits;
  readonly #uses: UseCounter;
  readonly #queue: EventQueue;
  readonly #hold: LoginHold;
  readonly queue: OutboundQueue;
  #account: Account | undefined;
  /** Nothing more is taken. */
  #closing = false;
  #isOver = false;
  /** All was given back: what comes of work that was given up has no owner here any more. */
  #left = false;
  #receivedBytes = 0;
  /** The acknowledgements that events ask for which are received and not handed on yet: clients count over all connections. */
  #ackNumbers: number[] = [];
  readonly #mayRetry: boolean;

  /** Listens at once: what a client sends in its first packets must find somebody there. */
  constructor({ socket, deps, rooms, limits, onLeft }: ConnectionOptions) {
    this.id = socket.id;
    this.#socket = socket;
    this.#deps = deps;
    this.#rooms = rooms;
    this.#limits = limits;
    this.#mayRetry = mayRetryEvents(recogniseClient(socket.handshake.query, socket.handshake.headers));
    this.#uses = createUseCounter(deps, socket.handshake);
    this.#queue = createEventQueue({
      maxEvents: limits.queuedEvents,
      maxBytes: limits.queuedBytes,
      onError: (error) => deps.log.error({ err: error, socket: socket.id }, 'a legacy connection failed'),
    });
    this.#hold = createLoginHold({
      ms: limits.holdMs,
      maxEvents: limits.heldEvents,
      maxBytes: limits.heldBytes,
      onRelease: ({ bytes, work }) => this.#enqueue(bytes, work),
    });
    this.queue = createOutboundQueue({
      socket,
      limits,
      onSent: (channel) => deps.metrics.legacyFrames.inc({ channel }, 1),
      onSlow: () => this.#cutOff('it does not read what is sent to it'),
    });
    // The packet `4` has no data at all.
    const weigh = (data?: string | Buffer): void => {
      this.#receivedBytes += data?.length ?? 0;
      const event = typeof data === 'string' ? EVENT.exec(data) : null;
      if (event !== null) this.#ackNumbers.push(Number(event[1] ?? 0));
      // Attachments are kept until the last of those announced has come.
      if (this.#receivedBytes > limits.queuedBytes) this.#cutOff('it sends more than may wait');
    };
    socket.conn.on('data', weigh);
    // Unlike listeners of single events, this one hears what came just before a close.
    socket.onAny((...event: unknown[]) => this.#receive(event));
    socket.once('disconnect', (why) => {
      this.#over(why === 'ping timeout' ? 'SILENT' : 'CLIENT');
      // Engine.IO's connection may outlive this one, and carry the next.
      socket.conn.off('data', weigh);
      // Later than the events that were received with it.
      setImmediate(() => {
        this.#hold.end();
        this.#queue.finish(() => this.#leave().finally(() => onLeft(this)));
      });
    });
    this.#authenticateFromHandshake();
  }

  get actor(): ActorRef | undefined {
    return this.#account?.actor;
  }

  get topics(): readonly Topic[] {
    return this.#rooms.topicsOf(this);
  }

  async run<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    const session = this.#account?.session ?? null;
    const { data, errors } = await this.#deps.executor.execute(document, variables, session);
    const error = errors?.[0];
    if (error !== undefined)
      throw new DomainError((error.extensions['code'] ?? 'INTERNAL') as ErrorCode, error.message);
    if (data === undefined || data === null) throw new Error('an operation answered neither data nor errors');
    return data;
  }

  async authenticate(token: unknown): Promise<void> {
    const account = await openAccount(this.#deps, {
      token,
      forward: this.#forwardChannels(),
      onFrames: (frames) => this.queue.send(frames),
      onEnd: (reason) => this.end(reason),
    });
    if (this.#left) {
      await account.close();
      throw unauthenticated();
    }
    const former = this.#account;
    if (former !== undefined && !sameActor(former.actor, account.actor)) {
      this.#rooms.leaveAll(this);
      this.queue.dropAll();
    }
    this.#account = account;
    await former?.close();
  }

  async join(
    topic: Topic,
    ask: () => Promise<Permission | null>,
    place?: ReplayFrom,
  ): Promise<AsyncIterable<Frame> | undefined> {
    const entrance = await this.#rooms.enter(topic, this);
    if (entrance === undefined) throw notFound('The room');
    try {
      const permission = await ask();
      const { actor } = this;
      if (permission === null || actor === undefined) throw notFound('The room');
      const { cursor, newestMessageId } = permission;
      const until = parseCursor(this.#deps.epoch, topic, cursor);
      const missed =
        place && (await openCatchUp(this.#deps, { ...place, topic, actor, until, newestMessageId }));
      if (this.#left || !entrance.admit(until, place !== undefined)) throw notFound('The room');
      return missed;
    } finally {
      entrance.cancel();
    }
  }

  leave(topic: Topic): void {
    this.#rooms.leave(topic, this);
  }

  conversationExists(id: ConversationId): Promise<boolean> {
    return this.#deps.conversationExists(id);
  }

  /** Counts the connection as one that is used today. */
  noteAlive(): void {
    this.#uses.alive(this.actor);
  }

  onGap(): void {
    this.#cutOff('events of its rooms were trimmed before this node saw them');
  }

  /** Ends the connection from the server's side. A client whose session is over is told so, once. */
  end(reason: EndReason): void {
    if (this.#closing) return;
    const sessionIsOver =
      reason === 'LOGGED_OUT' || reason === 'TOKEN_EXPIRED' || reason === 'ACCOUNT_DELETED';
    if (reason === 'ACCOUNT_DELETED') {
      // What the deletion means for its rooms was committed with it. As far as this node has heard of it, it waits here
      // when an event is under way.
      this.queue.dropPendingJoin();
      this.queue.release();
    }
    if (sessionIsOver) this.queue.send([{ channel: 'error', payload: USER_NOT_FOUND }]);
    void this.#close(reason);
    this.#socket.disconnect(true);
  }

  /** Answers what is under way, closes so that the client comes back, and resolves when all is given back. */
  async drain(patienceMs: number): Promise<void> {
    this.#stopTaking();
    await ignoreTimeout(patienceMs, this.#queue.idle());
    const left = this.#close('DRAINING');
    closeForRestart(this.#socket.conn);
    await ignoreTimeout(patienceMs, left);
  }

  #cutOff(why: string): void {
    if (this.#closing) return;
    this.#deps.log.warn({ why, actor: this.actor, socket: this.id }, 'a legacy connection is cut off');
    void this.#close('SLOW');
    cutOff(this.#socket.conn);
  }

  async #close(reason: EndReason): Promise<void> {
    this.#stopTaking();
    this.queue.close();
    this.#over(reason);
    try {
      // What is still under way is not waited for; if it takes anything, that is given back after it.
      await this.#leave();
    } catch (error) {
      this.#deps.log.error(
        { err: error, socket: this.id },
        'a legacy connection could not give everything back',
      );
    }
  }

  /** Says once why it is over. */
  #over(reason: ConnectionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { log, metrics } = this.#deps;
    metrics.connectionEnds.inc({ transport: 'socket.io', reason });
    const about = { reason, actor: this.actor, socket: this.id };
    log[reason === 'CLIENT' ? 'debug' : 'info'](about, 'a legacy connection is over');
  }

  #stopTaking(): void {
    this.#closing = true;
    this.#queue.drop();
    this.#hold.drop();
  }

  /**
   * A token in the handshake counts as an `authenticate` sent first. If it is refused, the app may send its own. Apps of
   * protocol 3 know nothing of it, and may carry the token of something else: a refusal is not sent to them.
   */
  #authenticateFromHandshake(): void {
    const found = this.#deps.findToken(this.#socket.request, this.#socket.handshake.auth);
    if (found === undefined || found.isBlank === true) return;
    this.#enqueue(0, async () => {
      const isTold = this.#socket.conn.protocol === 4 ? () => true : () => this.#account !== undefined;
      await this.#handle('authenticate', { token: found.token ?? null }, undefined, isTold);
      if (this.#account !== undefined) this.#hold.end();
    });
  }

  #receive(event: readonly unknown[]): void {
    const bytes = this.#receivedBytes;
    this.#receivedBytes = 0;
    const ackNumber = this.#ackNumbers.shift() ?? 0;
    if (this.#closing) return;
    const last = event.at(-1);
    const ack = typeof last === 'function' ? () => void last() : undefined;
    const [name, argument] = ack === undefined ? event : event.slice(0, -1);
    const work = async (): Promise<void> => {
      await this.queue.ready();
      await this.#handle(name, argument, ack);
    };
    // What came before it still runs, as after any other end that the client brings about.
    if (name === CLIENT_DISCONNECT) this.#hold.end();
    if (name === 'authenticate') {
      this.#enqueue(bytes, work);
      this.#hold.end();
      return;
    }
    const needsLogin = (channelOf(name)?.anonymous ?? null) !== null;
    // Waited for only by a client that was connected before, and logs in again.
    const acknowledge = this.#mayRetry && ackNumber > 0 ? ack : undefined;
    if (!this.#hold.take({ needsLogin, bytes, work, acknowledge })) this.#enqueue(bytes, work);
  }

  #enqueue(bytes: number, work: () => Promise<void>): void {
    if (!this.#closing && !this.#queue.push(bytes, work)) this.#cutOff('it sends faster than it is served');
  }

  /** The order of the contract: the answer, what rooms said meanwhile, the acknowledgement, which is empty. */
  async #handle(
    name: unknown,
    argument: unknown,
    ack: (() => void) | undefined,
    isTold = () => true,
  ): Promise<void> {
    if (name === CLIENT_DISCONNECT) {
      this.#stopTaking();
      ack?.();
      this.#socket.disconnect();
      return;
    }
    const channel = channelOf(name);
    if (channel !== undefined) {
      this.replying = true;
      const { frames, missed } = await dispatch(channel, argument, {
        caller: this,
        isLoggedIn: this.#account !== undefined,
        deadlineMs: this.#limits.eventMs,
        log: this.#deps.log,
        onLate: () => setImmediate(() => this.#cutOff('an event took too long')),
      });
      // Of the account that `authenticate` has just made it.
      this.#uses.event(channel.name, this.actor);
      if (isTold()) this.queue.send(frames);
      this.#account?.start();
      if (missed !== undefined) await this.#catchUp(missed);
      this.replying = false;
      this.queue.release();
    }
    if (this.#socket.connected) ack?.();
  }

  async #catchUp(missed: AsyncIterable<Frame>): Promise<void> {
    try {
      await this.queue.sendPaced(missed);
    } catch (error) {
      this.#deps.log.error(
        { err: error, socket: this.id },
        'what a legacy client has missed could not be read',
      );
      // It would go on with a hole in what it has heard.
      this.#cutOff('what it has missed could not be read');
    }
  }

  /** Decision 1: a client that sends no `EIO` rebuilds its call on any `webrtc_config`. */
  #forwardChannels(): ForwardChannels {
    const configured = this.#deps.config.LEGACY_FORWARD_CHANNELS;
    const sendsEio = this.#socket.handshake.query['EIO'] !== undefined;
    return configured ?? (sendsEio ? ['webrtc_forward', 'webrtc_config'] : ['webrtc_forward']);
  }

  async #leave(): Promise<void> {
    this.#closing = true;
    this.#left = true;
    this.noteAlive();
    this.#rooms.leaveAll(this);
    const account = this.#account;
    this.#account = undefined;
    await account?.close();
  }
}

async function ignoreTimeout(ms: number, work: Promise<void>): Promise<void> {
  try {
    await withTimeout(ms, work);
  } catch {
    // What has not ended by now is ended by the closing.
  }
}
