import { DomainError } from '../errors.ts';
import { encodeCursor, parseCursor } from '../events/cursor.ts';
import type { DomainEvent, Topic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf } from './contract/event-frames.ts';
import type { ActorRef } from '../actor.ts';

/** Positions searched per step, from the newest back. */
const WINDOW = 200;

/** The part of a conversation's log that a client missed while it was disconnected. */
export interface ReplayRange {
  readonly topic: Topic;
  readonly actor: ActorRef;
  readonly afterMessageId: number;
  /** Position of the permission check, where the replay ends and live frames begin. */
  readonly until: number;
  /** The newest message at that position; undefined when there is none. */
  readonly newestMessageId: number | undefined;
}

type LogDeps = Pick<BridgeDeps, 'epoch' | 'openStream'>;

/**
 * Returns the `message` frames sent after a message, in order and each once, read from the log while they are consumed.
 * Throws CURSOR_EXPIRED if the log has been trimmed beyond that message.
 */
export async function openReplay(deps: LogDeps, range: ReplayRange): Promise<AsyncIterable<Frame>> {
  const from = await findPosition(deps, range);
  return readFrames(deps, range, from);
}

async function* readFrames(deps: LogDeps, range: ReplayRange, from: number): AsyncGenerator<Frame, void> {
  for await (const { event } of readEvents(deps, range, from, range.until)) {
    yield* framesOf(event).filter(({ channel }) => channel === 'message');
  }
}

/** Returns the position of the message, or of the last one before it: ids of messages increase with positions. */
async function findPosition(deps: LogDeps, range: ReplayRange): Promise<number> {
  for (let upTo = range.until; upTo > 0;) {
    const oldest = Math.max(0, upTo - WINDOW);
    const trimmed = await findTrimmedBeyond(deps, range, oldest);
    const from = Math.max(oldest, trimmed ?? 0);
    let found: number | undefined;
    for await (const { seq, event } of readEvents(deps, range, from, upTo)) {
      if (event.type === 'message.sent' && event.message.id <= range.afterMessageId) found = seq;
    }
    if (found !== undefined) return found;
    if (trimmed !== undefined) {
      // A client that has the newest message has missed none, however far the log is trimmed.
      if (range.afterMessageId >= (range.newestMessageId ?? 0)) return from;
      throw new DomainError('CURSOR_EXPIRED', 'The log has been trimmed beyond this message.');
    }
    upTo = from;
  }
  return 0;
}

/** Returns the position up to which the log is trimmed; undefined if that is not beyond the given one. */
async function findTrimmedBeyond(
  deps: LogDeps,
  { topic, actor }: ReplayRange,
  position: number,
): Promise<number | undefined> {
  try {
    const after = encodeCursor(deps.epoch, topic, position);
    const stream = await deps.openStream({ topic, actor, after, authorize: async () => {} });
    await stream.return();
    return undefined;
  } catch (error) {
    const oldest =
      error instanceof DomainError && error.code === 'CURSOR_EXPIRED' ? error.details.oldest : undefined;
    if (oldest === undefined) throw error;
    return parseCursor(deps.epoch, topic, oldest);
  }
}

async function* readEvents(
  deps: LogDeps,
  { topic, actor }: ReplayRange,
  from: number,
  upTo: number,
): AsyncGenerator<{ readonly seq: number; readonly event: DomainEvent }, void> {
  if (from >= upTo) return;
  const after = encodeCursor(deps.epoch, topic, from);
  // The permission was checked by the join.
  const stream = await deps.openStream({ topic, actor, after, authorize: async () => {} });
  let seq = from;
  try {
    for await (const item of stream) {
      if (item.type !== 'event') return;
      seq += 1;
      yield { seq, event: item.event };
      if (seq >= upTo) return;
    }
  } finally {
    await stream.return();
  }
}
