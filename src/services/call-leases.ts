import * as rows from '../db/calls.ts';
import type { ClaimedParticipant } from '../db/calls.ts';
import type { Db } from '../db/database.ts';
import type { ActorRef } from '../actor.ts';
import type { ConnectionEnd } from '../errors.ts';
import { endReasonOf } from '../events/pull-iterator.ts';
import type { CallParticipantId, ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { Semaphore } from '../lib/semaphore.ts';
import type { WatchableConnection } from '../lib/silence-watch.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** A lease lasts for five intervals: see `LEASE` in db/calls.ts. */
const INTERVAL_MS = 2_000;
/**
 * Consecutive rounds of this node that must be on time before it removes the participants of others: after an outage of the
 * database, their leases have not been extended yet.
 */
const MIN_TIMELY_ROUNDS = 3;
/** Conversations in which one round removes participants. */
const MAX_CONVERSATIONS = 200;
/** Leases that one statement ends. */
const MAX_BATCH_SIZE = 1_000;
/** Transactions at the same time that remove participants whose session has ended, however many calls they are in. */
const CONCURRENT_REMOVALS = 2;

/** Keeps a participant in a call while its connection, or its stream of call events, is open. */
export interface CallHold {
  readonly participantId: CallParticipantId;
  /**
   * The connection or stream has closed. The participant leaves after a grace period, or immediately if its session has
   * ended, or the client has not replied for longer than that.
   */
  release(reason: ConnectionEnd | undefined): void;
}

/** The connection of a claim. A stream, which releases its hold itself, has no signal. */
export interface CallCarrier {
  /** Ends the participation when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the participation when its client no longer replies. */
  readonly connection?: WatchableConnection | undefined;
}

/** A lease whose connection has closed. */
interface Expiry extends ClaimedParticipant {
  readonly isImmediate: boolean;
}

interface Hold extends CallHold {
  /** Stops following the carrier. */
  readonly unfollow: () => void;
}

export interface CallLeasesOptions {
  readonly db: Db;
  /** Connections that do not wait for those of `db`: a node whose connections are all busy is alive. */
  readonly control: Db;
  readonly log: Logger;
  readonly nodeId: string;
  /** Removes the participants of a conversation's call whose lease has expired, or whose access has ended. */
  readonly removeExpired: (conversationId: ConversationId) => Promise<void>;
  readonly startTimer?: StartTimer;
}

const IMMEDIATE: ReadonlySet<ConnectionEnd | undefined> = new Set([
  'LOGGED_OUT',
  'ACCOUNT_DELETED',
  'LEFT',
  'KICKED',
  'DELETED',
  'ACCESS_REMOVED',
  'SILENT',
]);

/** Keeps the participants in calls whose connections are on this node, and removes those that no node keeps. */
export class CallLeases implements AsyncDisposable {
  readonly nodeId: string;
  readonly #options: CallLeasesOptions;
  readonly #startTimer: StartTimer;
  readonly #holds = new Map<CallParticipantId, Hold>();
  readonly #pending = new PendingWork();
  /** In order within a conversation: removals of its participants would wait for each other. */
  readonly #expiries = createBatcher<Expiry, void>((expiries) => this.#expire(expiries), {
    maxBatchSize: MAX_BATCH_SIZE,
    partitionBy: ({ conversationId }) => conversationId,
  });
  readonly #removals = new Semaphore(CONCURRENT_REMOVALS);
  #timelyRounds = 0;
  #lastRound: { readonly at: number; readonly nowMs: number } | undefined;
  #cancelTimer = (): void => undefined;
  #isStopped = false;

  constructor(options: CallLeasesOptions) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.#startTimer = options.startTimer ?? startSystemTimer;
    this.#schedule();
  }

  /**
   * Keeps a participant of the actor in its call until the hold is released, or the carrier ends. Replaces its former
   * hold, on any node. Undefined if the participant has left.
   */
  async claim(
    actor: ActorRef,
    participant: ClaimedParticipant,
    { signal, connection }: CallCarrier = {},
  ): Promise<CallHold | undefined> {
    if (!(await rows.claimLease(this.#options.db, this.nodeId, actor, participant))) return undefined;
    const { participantId } = participant;
    const release = (reason: ConnectionEnd | undefined): void => {
      if (this.#holds.get(participantId) !== hold) return;
      this.#drop(participantId);
      this.#end({ ...participant, isImmediate: IMMEDIATE.has(reason) });
    };
    const onAbort = () => release(endReasonOf(signal));
    this.#drop(participantId);
    const unwatch = connection?.watch(() => release('SILENT'));
    const hold: Hold = {
      participantId,
      release,
      unfollow() {
        signal?.removeEventListener('abort', onAbort);
        unwatch?.();
      },
    };
    this.#holds.set(participantId, hold);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    return hold;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer();
    for (const id of this.#holds.keys()) this.#drop(id);
    await this.#pending.settle();
  }

  #drop(id: CallParticipantId): void {
    this.#holds.get(id)?.unfollow();
    this.#holds.delete(id);
  }

  /** Ends a lease. Not repeated if it fails: the lease expires in any case. */
  #end(expiry: Expiry): void {
    const work = this.#pending.run(() => this.#expiries.submit(expiry));
    work.catch((error: unknown) => this.#options.log.warn({ err: error }, 'ending a call lease failed'));
  }

  async #expire(expiries: readonly Expiry[]): Promise<readonly (Promise<void> | undefined)[]> {
    const { db, removeExpired } = this.#options;
    const groups = Map.groupBy(expiries, ({ isImmediate }) => isImmediate);
    await Promise.all(
      Array.from(groups, ([isImmediate, group]) =>
        rows.expireLeases(db, this.nodeId, idsOf(group), isImmediate),
      ),
    );
    const conversations = new Set((groups.get(true) ?? []).map(({ conversationId }) => conversationId));
    const removals = new Map(
      Array.from(conversations, (id) => [id, this.#removals.run(() => removeExpired(id))] as const),
    );
    return expiries.map(({ conversationId, isImmediate }) =>
      isImmediate ? removals.get(conversationId) : undefined,
    );
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#startTimer(INTERVAL_MS, () => {
      void this.#pending
        .run(() => this.#round())
        .catch((error: unknown) => {
          this.#timelyRounds = 0;
          this.#options.log.warn({ err: error }, 'extending call leases failed, retrying');
        })
        .finally(() => this.#schedule());
    });
  }

  async #round(): Promise<void> {
    const { db, control, removeExpired } = this.#options;
    const held = [...this.#holds];
    const { ids, nowMs } = await rows.renewLeases(
      control,
      this.nodeId,
      held.map(([id]) => id),
    );
    const kept = new Set(ids);
    for (const [id, hold] of held)
      // Left, or on another node since.
      if (!kept.has(id) && this.#holds.get(id) === hold) this.#drop(id);
    if (!this.#isTimely(nowMs)) return;
    for (const id of await rows.findConversationsWithExpired(db, this.nodeId, MAX_CONVERSATIONS))
      await removeExpired(id);
  }

  /** Whether this node has extended its leases in time for a while, and the clock of the database has not jumped. */
  #isTimely(nowMs: number): boolean {
    const at = performance.now();
    const last = this.#lastRound;
    this.#lastRound = { at, nowMs };
    const isOnTime =
      last !== undefined &&
      at - last.at < 2 * INTERVAL_MS &&
      Math.abs(nowMs - last.nowMs - (at - last.at)) < INTERVAL_MS;
    this.#timelyRounds = isOnTime ? this.#timelyRounds + 1 : 0;
    return this.#timelyRounds >= MIN_TIMELY_ROUNDS;
  }
}

const idsOf = (expiries: readonly Expiry[]): CallParticipantId[] =>
  expiries.map(({ participantId }) => participantId);
