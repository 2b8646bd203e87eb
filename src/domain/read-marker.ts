import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import { lockReadState, setLastRead } from '../db/read-state.ts';
import type { MarkedRead } from '../db/read-state.ts';
import type { Conversation } from '../db/tables.ts';
import { DomainError, notFound } from '../errors.ts';
import { accountTopic, receiptTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { TransactDeps, UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import type { ReportRefusal } from '../services/refusals.ts';

/**
 * Least time between two changes of a read state, each with an event, on all nodes: 100 ms, and some more, because the
 * timestamp of the event is taken behind that of the change.
 */
const MIN_INTERVAL_MS = 105;
const MAX_QUEUED = 10_000;
const RETRY_AFTER_MS = 1_000;

/** A request to mark messages as read. */
export interface Mark {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
  readonly messageId: MessageId;
}

/** Marks messages as read. Concurrent marks of an actor in a conversation share a transaction and an event. */
export interface ReadMarker {
  /**
   * Returns the conversation once the mark is committed, or the actor had read further already. Throws NOT_FOUND unless the
   * actor takes part in the conversation and the message is in it, RATE_LIMITED when the queue is full.
   */
  mark(mark: Mark): Promise<Conversation>;
}

export interface ReadMarkerDeps extends TransactDeps {
  readonly reportRefusal?: ReportRefusal | undefined;
}

interface QueuedMark {
  readonly messageId: MessageId;
  /** Runs the transaction in the async context of this mark, if it is the first of those that share it. */
  readonly run: <Result>(transaction: () => Result) => Result;
  readonly resolve: (conversation: Conversation) => void;
  readonly reject: (error: unknown) => void;
}

export function createReadMarker(deps: ReadMarkerDeps): ReadMarker {
  /** Queued marks by actor and conversation, while a transaction or the interval after it is in progress. */
  const queues = new Map<string, QueuedMark[]>();
  let queuedCount = 0;

  /** Runs transactions until no mark is queued. */
  const drain = async (
    key: string,
    queue: QueuedMark[],
    target: Pick<Mark, 'actor' | 'conversationId'>,
  ): Promise<void> => {
    for (let [first] = queue; first !== undefined; [first] = queue) {
      const marks = queue.splice(0);
      const { waitMs, waiting } = await first.run(() => commit(deps, target, marks));
      queuedCount -= marks.length - waiting.length;
      queue.unshift(...waiting);
      await pause(waitMs);
    }
    queues.delete(key);
  };

  return {
    async mark({ messageId, ...target }) {
      if (queuedCount >= MAX_QUEUED) {
        deps.reportRefusal?.('queued writes', { account: target.actor });
        throw new DomainError('RATE_LIMITED', 'Too many requests are queued. Try again later.', {
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      const key = `${actorKey(target.actor)} ${target.conversationId}`;
      const { promise, resolve, reject } = Promise.withResolvers<Conversation>();
      const mark = { messageId, run: AsyncLocalStorage.snapshot(), resolve, reject };
      queuedCount += 1;
      const queue = queues.get(key);
      if (queue !== undefined) queue.push(mark);
      else {
        const created = [mark];
        queues.set(key, created);
        void drain(key, created, target);
      }
      return promise;
    },
  };
}

interface Progress {
  /** Time until the next change. */
  readonly waitMs: number;
  /** Marks that are not settled, because the interval has not ended. */
  readonly waiting: readonly QueuedMark[];
}

/** Commits marks of an actor in a conversation, and settles them, unless the interval after the last change has not ended. */
async function commit(
  deps: TransactDeps,
  { actor, conversationId }: Pick<Mark, 'actor' | 'conversationId'>,
  marks: readonly QueuedMark[],
): Promise<Progress> {
  const messageIds = marks.map(({ messageId }) => messageId);
  try {
    const { state, waitMs, change } = await transact(deps, (unit) =>
      advance(unit, actor, conversationId, messageIds),
    );
    if (state === undefined) throw notFound('The conversation');
    if (change !== undefined) publishReceipt(deps, actor, conversationId, change);
    const foundIds = new Set(state.foundIds);
    const isWaiting = ({ messageId }: QueuedMark) =>
      change === undefined && waitMs > 0 && messageId > state.lastReadId && foundIds.has(messageId);
    for (const mark of marks.filter((each) => !isWaiting(each))) {
      if (foundIds.has(mark.messageId)) mark.resolve(state.conversation);
      else mark.reject(notFound('The message'));
    }
    return { waitMs, waiting: marks.filter(isWaiting) };
  } catch (error) {
    for (const { reject } of marks) reject(error);
    return { waitMs: 0, waiting: [] };
  }
}

/** A change of a read state. */
interface Change {
  readonly messageId: MessageId;
  /** Set before the commit. */
  marked?: MarkedRead;
}

/** Publishes a change to the others, if the conversation allows it. It is a hint: what it says is in the database. */
function publishReceipt(
  { bus }: TransactDeps,
  reader: ActorRef,
  conversationId: ConversationId,
  { messageId, marked }: Change,
): void {
  if (marked?.isReceiptPublished !== true) return;
  const receipt = { reader, participantId: marked.participantId, messageId };
  const topic = receiptTopic(conversationId);
  bus.publish([{ kind: 'ephemeral', ephemeral: { type: 'read-receipt', topic, receipt } }]);
}

/** Moves the read state of an actor forward to the newest of the messages, unless the interval has not ended. */
async function advance(
  unit: UnitOfWork,
  actor: ActorRef,
  conversationId: ConversationId,
  messageIds: readonly MessageId[],
) {
  const state = await unit.lockAndRead([accountTopic(actor)], () =>
    lockReadState(unit.tx, actor, conversationId, messageIds),
  );
  const newestId = state?.foundIds.toSorted((a, b) => b - a)[0];
  if (state === undefined || newestId === undefined || newestId <= state.lastReadId)
    return { state, waitMs: 0 };
  const waitMs = remainingMs(state.elapsedMs);
  if (waitMs > 0) return { state, waitMs };
  const change: Change = { messageId: newestId };
  const marking = async () => {
    change.marked = await setLastRead(unit.tx, actor, conversationId, newestId);
  };
  unit.write(marking());
  unit.emit({
    type: 'read-state.changed',
    reader: actor,
    conversation: state.conversation,
    messageId: newestId,
    redacted: true,
  });
  return { state, waitMs: MIN_INTERVAL_MS, change };
}

const remainingMs = (elapsedMs: number | null): number =>
  elapsedMs === null ? 0 : Math.max(0, MIN_INTERVAL_MS - elapsedMs);
