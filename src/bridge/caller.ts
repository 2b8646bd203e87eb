import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { Socket as EngineSocket } from 'engine.io';
import { payerOf, sameActor } from '../actor.ts';
import type { ActorRef, Payer } from '../actor.ts';
import { DomainError, notFound, unauthenticated } from '../errors.ts';
import type { ConnectionEnd, EndReason, ErrorCode } from '../errors.ts';
import { parseCursor } from '../events/cursor.ts';
import type { Topic } from '../events/event.ts';
import type { ConversationId } from '../ids.ts';
import type { Holder } from '../lib/byte-ledger.ts';
import type { ConnectionLog } from './connection-log.ts';
import type { Caller, ReadAccess, ReplayFrom } from './contract/channel-types.ts';
import type { Frame } from './contract/encoders.ts';
import type { ForwardChannels } from './contract/event-frames.ts';
import type { BridgeDeps, CallHold, ForwardedSignal } from './deps.ts';
import { logIn } from './login.ts';
import type { Login } from './login.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { openReplay } from './replay.ts';
import type { RoomMember, Rooms } from './rooms.ts';
import { WatchedSession } from './watched-session.ts';

/** Calls that a connection keeps its account in. A further one replaces the oldest. */
const MAX_CALLS = 16;

export interface CallerOptions {
  /** The id of the connection. */
  readonly connection: string;
  /** The client's address. */
  readonly address: string;
  readonly conn: EngineSocket;
  readonly deps: BridgeDeps;
  readonly rooms: Rooms;
  readonly queue: OutboundQueue;
  readonly log: ConnectionLog;
  readonly forward: ForwardChannels;
  readonly onAuthenticated: (account: ActorRef) => void;
  /** Called when the session ends, or with SLOW when too many frames for the account are pending. */
  readonly onEnd: (reason: EndReason) => void;
  /** Called when this node has lost events of a joined room. */
  readonly onGap: () => void;
}

/** Runs the operations of a connection's events, and owns the state that they change: its login and its rooms. */
export class ConnectionCaller implements Caller, RoomMember {
  isHandlingEvent = false;
  readonly queue: OutboundQueue;
  readonly #options: CallerOptions;
  #login: Login | undefined;
  /** The calls that it has joined, oldest first; undefined until there is one. */
  #calls: Map<CallHold['participantId'], CallHold> | undefined;
  /** Set when the connection closes: work that is still in flight must then release what it opens. */
  #isReleased = false;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.queue = options.queue;
  }

  get actor(): ActorRef | undefined {
    return this.#login?.actor;
  }

  /** The id of the connection. */
  get connection(): string {
    return this.#options.connection;
  }

  get topics(): readonly Topic[] {
    return this.#options.rooms.listTopics(this);
  }

  /** The client, whose bytes wait to be handled. */
  get holder(): Holder {
    return { account: this.actor, address: this.#options.address };
  }

  /** The payer of the connection's events. */
  get payer(): Payer {
    const { address, connection } = this.#options;
    return payerOf(this.#login?.session ?? null, address, connection);
  }

  async run<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    const { address, connection, deps } = this.#options;
    const session = this.#login?.session ?? null;
    const { data, errors } = await deps.executor.execute(document, variables, {
      session,
      address,
      connection,
    });
    const error = errors?.[0];
    if (error !== undefined)
      throw new DomainError((error.extensions['code'] ?? 'INTERNAL') as ErrorCode, error.message);
    if (data === undefined || data === null)
      throw new Error('The operation returned neither data nor errors.');
    return data;
  }

  async authenticate(token: unknown): Promise<void> {
    const { address, deps, forward, log, onAuthenticated, onEnd } = this.#options;
    const login = await logIn(deps, {
      token,
      address,
      forward,
      onFrames: (frames) => this.queue.send(frames),
      onEnd,
    });
    // The connection may have closed while the login was in flight.
    if (this.#isReleased) {
      await login.close();
      throw unauthenticated();
    }
    const formerLogin = this.#login;
    if (formerLogin !== undefined && !sameActor(formerLogin.actor, login.actor)) {
      this.#releaseCalls('LOGGED_OUT');
      this.#leaveAll('ACCOUNT_CHANGED');
      this.queue.dropHeld();
    }
    this.#login = login;
    log.authenticated(login.actor);
    onAuthenticated(login.actor);
    await formerLogin?.close();
  }

  async recordCallSignal(signal: ForwardedSignal): Promise<void> {
    const { actor } = this;
    const { conn, deps } = this.#options;
    if (actor === undefined) return;
    try {
      const session = new WatchedSession(deps.silenceWatch, conn);
      const hold = await deps.recordCallSignal(actor, signal, session);
      if (hold === undefined) return;
      if (this.#isReleased) return hold.release('CLIENT');
      this.#keepCall(hold);
    } catch (error) {
      this.#options.log.failed(error, 'recording a call failed');
    }
  }

  /** Starts delivery of the account's frames: after the reply to `authenticate`. */
  startDelivery(): void {
    this.#login?.startDelivery();
  }

  async join(
    topic: Topic,
    readAccess: () => Promise<ReadAccess | null>,
    replayFrom?: ReplayFrom,
  ): Promise<AsyncIterable<Frame> | undefined> {
    const { deps, log, rooms } = this.#options;
    const pendingJoin = await rooms.startJoin(topic, this);
    if (pendingJoin === undefined) throw notFound('The room');
    try {
      const access = await readAccess();
      const { actor } = this;
      if (access === null || actor === undefined) throw notFound('The room');
      const { cursor, newestMessageId } = access;
      const seq = parseCursor(deps.epoch.current, topic, cursor);
      const replay =
        replayFrom &&
        (await openReplay(deps, { ...replayFrom, topic, actor, untilSeq: seq, newestMessageId }));
      const admission = { seq, replaysMessages: replayFrom !== undefined };
      if (this.#isReleased || !pendingJoin.admit(admission)) throw notFound('The room');
      log.joined(topic);
      return replay;
    } finally {
      pendingJoin.cancel();
    }
  }

  leave(topic: Topic): void {
    const { log, rooms } = this.#options;
    if (rooms.leave(topic, this)) log.left(topic, 'CLIENT');
  }

  conversationExists(id: ConversationId): Promise<boolean> {
    return this.#options.deps.conversationExists(id);
  }

  onGap(): void {
    this.#options.onGap();
  }

  onEvicted(topic: Topic, reason: EndReason): void {
    this.#options.log.left(topic, reason);
  }

  /** Leaves all rooms and closes the login. */
  async release(reason: ConnectionEnd): Promise<void> {
    this.#isReleased = true;
    this.#releaseCalls(reason);
    this.#leaveAll(reason);
    const login = this.#login;
    this.#login = undefined;
    await login?.close();
  }

  #keepCall(hold: CallHold): void {
    this.#calls ??= new Map();
    this.#calls.delete(hold.participantId);
    this.#calls.set(hold.participantId, hold);
    const [oldest] = this.#calls.values();
    if (this.#calls.size <= MAX_CALLS || oldest === undefined) return;
    this.#calls.delete(oldest.participantId);
    oldest.release('CLIENT');
  }

  #releaseCalls(reason: ConnectionEnd): void {
    for (const hold of this.#calls?.values() ?? []) hold.release(reason);
    this.#calls = undefined;
  }

  #leaveAll(reason: ConnectionEnd | 'ACCOUNT_CHANGED'): void {
    const { log, rooms } = this.#options;
    for (const topic of rooms.leaveAll(this)) log.left(topic, reason);
  }
}
