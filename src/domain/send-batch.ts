import { actorKey, sameActor } from '../actor.ts';
import type { ActorKey } from '../actor.ts';
import { isCancelled, isLockTimeout, isOutage, isUnavailable } from '../errors.ts';
import { transact, transactBriefly } from '../events/unit-of-work.ts';
import type { TransactDeps } from '../events/unit-of-work.ts';
import type { ConversationId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import { TimeoutError, withTimeout } from '../lib/timeout.ts';
import type { Tracing } from '../tracing.ts';
import type { ReportRefusal } from '../services/refusals.ts';
import { sendAll, topicsOf, unwrap } from './send-transaction.ts';
import type { Outcome, Send, SentMessage } from './send-transaction.ts';

/** Larger batches delay their first sends, and hold conversation locks for longer than batching saves. */
const MAX_BATCH_SIZE = 128;
/** One batch is prepared while the database runs another; more would only make batches smaller. */
const CONCURRENCY = 2;
/** Extra batches while one is slow. */
const EXTRA_WHEN_SLOW = 2;
const SLOW_AFTER_MS = 500;
/** Longer than most transactions, and hardly noticed by a sender beside a slow one. */
const FILL_MS = 10;
/** Longest wait of a batch for a lock. After it, the conversations with locks that are not free leave the batch. */
const MAX_LOCK_WAIT_MS = 500;
const MAX_STUCK = 10_000;
/** Approximate bytes. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const SEND_OVERHEAD_BYTES = 1_000;

/** Sends messages; concurrent sends share a transaction. */
export interface SendBatcher {
  /** Throws NOT_FOUND, UNAUTHENTICATED if the session has ended, CONFLICT, and RATE_LIMITED when the queue is full. */
  send(send: Send): Promise<SentMessage>;
}

export interface SendBatcherDeps extends TransactDeps {
  readonly reportRefusal?: ReportRefusal | undefined;
  readonly tracing?: Tracing | undefined;
  /** Called with the number of sends of each batch. */
  readonly onBatch?: ((size: number) => void) | undefined;
}

/** Conversations and authors whose last sends failed for a lock. */
type Stuck = Set<ConversationId | ActorKey>;

const isStuck = (stuck: Stuck, { conversationId, actor }: Send): boolean =>
  stuck.has(conversationId) || stuck.has(actorKey(actor));

/** Whether a send failed for a lock: of its conversation, or (then it was cancelled) of another row. */
const isHeldUp = (error: unknown): boolean => isLockTimeout(error) || isCancelled(error);

export function createSendBatcher(deps: SendBatcherDeps): SendBatcher {
  const stuck: Stuck = new Set();
  const batcher = createBatcher<Send, Outcome>((sends) => runBatch(deps, stuck, sends), {
    maxBatchSize: MAX_BATCH_SIZE,
    concurrency: CONCURRENCY,
    extraWhenSlow: EXTRA_WHEN_SLOW,
    slowAfterMs: SLOW_AFTER_MS,
    fillMs: FILL_MS,
    partitionBy: (send) => send.conversationId,
    maxQueuedSize: MAX_QUEUED_BYTES,
    sizeOf: approximateSize,
    onBatch: deps.onBatch,
    onFull: ({ actor: account }) => deps.reportRefusal?.('queued writes', { account }),
  });
  return {
    async send(send) {
      const trace = deps.tracing?.current();
      return unwrap(await batcher.submit(trace === undefined ? send : { ...send, trace }));
    },
  };
}

const approximateSize = ({ text, files }: Send): number =>
  files.reduce((bytes, file) => bytes + 2 * file.length, SEND_OVERHEAD_BYTES + 2 * text.length);

/** Runs a batch in a span of the first send that is traced, which is linked to the spans of the others. */
function runBatch(deps: SendBatcherDeps, stuck: Stuck, sends: readonly Send[]): Promise<Outcomes> {
  const run = () => sendUnlessStuck(deps, stuck, sends);
  if (deps.tracing === undefined) return run();
  const [parent, ...links] = sends.flatMap(({ trace }) => trace ?? []);
  if (parent === undefined) return run();
  const attributes = { 'messaging.batch.message_count': sends.length };
  return deps.tracing.run('send batch', { kind: 'internal', attributes, parent, links }, run);
}

type Outcomes = readonly (Outcome | Promise<Outcome>)[];

/** Isolates sends for whose conversation or author the last ones failed for a lock, so that they delay no others again. */
async function sendUnlessStuck(
  deps: SendBatcherDeps,
  stuck: Stuck,
  sends: readonly Send[],
): Promise<Outcomes> {
  const isolated = isolate(
    deps,
    stuck,
    sends.filter((send) => isStuck(stuck, send)),
  );
  const others = isolated.size === 0 ? sends : sends.filter((send) => !isolated.has(send));
  const outcomes = others.length === 0 ? [] : await sendBatch(deps, stuck, others);
  return isolated.size === 0 ? outcomes : inOrder(sends, isolated, zip(others, outcomes));
}

/**
 * Runs all sends in one transaction. If a lock is not free, isolates the sends to conversations that are locked. If the
 * transaction fails, runs each in its own, so that one send cannot fail the others.
 */
async function sendBatch(deps: SendBatcherDeps, stuck: Stuck, sends: readonly Send[]): Promise<Outcomes> {
  // Saves a lone send the statement that limits its wait: it delays no others.
  if (sends.every(({ conversationId }) => conversationId === sends[0]?.conversationId))
    return sendToOne(deps, stuck, sends);
  try {
    return await transactBriefly(deps, MAX_LOCK_WAIT_MS, (unit) => sendAll(unit, sends));
  } catch (error) {
    if (isHeldUp(error)) return sendToFree(deps, stuck, sends);
    // When the connection was lost the batch may have been committed: a retry would send it twice.
    if (isUnavailable(error)) throw error;
    return sendEach(deps, stuck, sends);
  }
}

/** Sends to one conversation. Returns promises if its lock is not free, so that the next batch can start. */
async function sendToOne(deps: SendBatcherDeps, stuck: Stuck, sends: readonly Send[]): Promise<Outcomes> {
  const isolated = isolate(deps, stuck, sends);
  const outcomes = sends.map((send) => isolated.get(send) ?? missing());
  try {
    return await withTimeout(MAX_LOCK_WAIT_MS, Promise.all(outcomes));
  } catch (error) {
    if (error instanceof TimeoutError) return outcomes;
    throw error;
  }
}

/** Sends to the conversations whose locks are free, in one transaction, and isolates the others. */
async function sendToFree(deps: SendBatcherDeps, stuck: Stuck, sends: readonly Send[]): Promise<Outcomes> {
  let free: readonly Send[] = [];
  let outcomes: readonly Outcome[] = [];
  try {
    outcomes = await transactBriefly(deps, MAX_LOCK_WAIT_MS, async (unit) => {
      const busy = await unit.lockFree(...sends.flatMap(topicsOf));
      free = sends.filter((send) => !topicsOf(send).some((topic) => busy.has(topic)));
      return free.length === 0 ? [] : sendAll(unit, free);
    });
  } catch (error) {
    if (isUnavailable(error)) throw error;
    // A row other than those of the topics is locked, or one send fails.
    free = [];
  }
  const sent = zip(free, outcomes);
  const isolated = isolate(
    deps,
    stuck,
    sends.filter((send) => !sent.has(send)),
  );
  return inOrder(sends, sent, isolated);
}

/**
 * Runs the sends to each conversation in a transaction of their own, which may wait for its lock. Those of a stuck author
 * are apart, so that they fail no others.
 */
function isolate(
  deps: SendBatcherDeps,
  stuck: Stuck,
  sends: readonly Send[],
): ReadonlyMap<Send, Promise<Outcome>> {
  const outcomes = new Map<Send, Promise<Outcome>>();
  const groups = Map.groupBy(sends, ({ conversationId, actor }) => {
    const author = actorKey(actor);
    return stuck.has(author) ? `${conversationId} ${author}` : conversationId;
  });
  for (const group of groups.values()) {
    const sent = transact(deps, (unit) => sendAll(unit, group));
    sent.then(
      () => markSent(stuck, group),
      (error: unknown) => markFailed(stuck, group, error),
    );
    const settled = sent.catch((error: unknown) => {
      // When the connection was lost the sends may have been committed: a retry would send them twice.
      if (isUnavailable(error)) throw error;
      const isShared = group.length > 1 && (isCancelled(error) || !isOutage(error));
      return isShared ? sendEach(deps, stuck, group) : group.map(() => ({ error }));
    });
    for (const [index, send] of group.entries())
      outcomes.set(
        send,
        settled.then((results) => results[index] ?? missing()),
      );
  }
  return outcomes;
}

function markSent(stuck: Stuck, sends: readonly Send[]): void {
  if (stuck.size === 0) return;
  for (const { conversationId, actor } of sends) {
    stuck.delete(conversationId);
    stuck.delete(actorKey(actor));
  }
}

/** Marks sends to one conversation as failed. */
function markFailed(stuck: Stuck, sends: readonly Send[], error: unknown): void {
  const [first] = sends;
  if (first === undefined) return;
  if (!isHeldUp(error)) return void stuck.delete(first.conversationId);
  if (stuck.size >= MAX_STUCK) stuck.clear();
  stuck.add(first.conversationId);
  if (isCancelled(error) && sends.every(({ actor }) => sameActor(actor, first.actor)))
    stuck.add(actorKey(first.actor));
}

/** Runs each send in a transaction of its own. After one that was held up, fails further ones of its author, too. */
async function sendEach(deps: SendBatcherDeps, stuck: Stuck, sends: readonly Send[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const heldUp = new Map<ActorKey, Outcome>();
  for (const send of sends) {
    const author = actorKey(send.actor);
    const outcome =
      heldUp.get(author) ??
      (await sendSingle(deps, send).then(
        (sent) => ({ sent }),
        (error: unknown) => {
          markFailed(stuck, [send], error);
          return { error };
        },
      ));
    if ('error' in outcome && isCancelled(outcome.error)) heldUp.set(author, outcome);
    outcomes.push(outcome);
  }
  return outcomes;
}

const zip = <Value>(sends: readonly Send[], values: readonly Value[]): ReadonlyMap<Send, Value> =>
  new Map(sends.map((send, index) => [send, values[index] as Value]));

const inOrder = (
  sends: readonly Send[],
  ...found: readonly ReadonlyMap<Send, Outcome | Promise<Outcome>>[]
): Outcomes => sends.map((send) => found.find((outcomes) => outcomes.has(send))?.get(send) ?? missing());

function missing(): never {
  throw new Error('A send has no outcome');
}

/** Sends a message in a transaction of its own. */
export async function sendSingle(deps: SendBatcherDeps, send: Send): Promise<SentMessage> {
  const [outcome] = await transact(deps, (unit) => sendAll(unit, [send]));
  return unwrap(outcome);
}
