import { DomainError } from '../errors.ts';
import { encodeCursor, parseCursor } from '../events/cursor.ts';
import type { DomainEvent, Topic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf } from './contract/event-frames.ts';
import type { ActorRef } from '../actor.ts';

/** Events searched per step, from the newest back. */
const SEARCH_WINDOW_EVENTS = 200;

/** The part of a conversation's log that a client missed while it was disconnected. */
export interface ReplayRange {
  readonly topic: Topic;
  readonly actor: ActorRef;
  readonly afterMessageId: number;
  /** Seq of the permission check, where the replay ends and live frames begin. */
  readonly untilSeq: number;
  /** The newest message at that seq; undefined when there is none. */
  readonly newestMessageId: number | undefined;
}

type ReplayDeps = Pick<BridgeDeps, 'epoch' | 'openStream'>;

/**
 * Returns the `message` frames sent after a message, in order and each once, read from the log while they are consumed.
 * Throws CURSOR_EXPIRED if the log has been trimmed beyond that message.
 */
export async function openReplay(deps: ReplayDeps, range: ReplayRange): Promise<AsyncIterable<Frame>> {
  const fromSeq = await findStart(deps, range);
  return readFrames(deps, range, fromSeq);
}

async function* readFrames(
  deps: ReplayDeps,
  range: ReplayRange,
  fromSeq: number,
): AsyncGenerator<Frame, void> {
  for await (const { event } of readEvents(deps, range, fromSeq, range.untilSeq)) {
    yield* framesOf(event).filter(({ channel }) => channel === 'message');
  }
}

/** Returns the seq of the message, or of the last one before it: ids of messages increase with seqs. */
async function findStart(deps: ReplayDeps, range: ReplayRange): Promise<number> {
  for (let untilSeq = range.untilSeq; untilSeq > 0;) {
    const windowStart = Math.max(0, untilSeq - SEARCH_WINDOW_EVENTS);
    const trimmedSeq = await findTrimmedBeyond(deps, range, windowStart);
    const fromSeq = Math.max(windowStart, trimmedSeq ?? 0);
    let found: number | undefined;
    for await (const { seq, event } of readEvents(deps, range, fromSeq, untilSeq)) {
      if (event.type === 'message.sent' && event.message.id <= range.afterMessageId) found = seq;
    }
    if (found !== undefined) return found;
    if (trimmedSeq !== undefined) {
      // A client that has the newest message has missed none, however far the log is trimmed.
      if (range.afterMessageId >= (range.newestMessageId ?? 0)) return fromSeq;
      throw new DomainError('CURSOR_EXPIRED', 'The log has been trimmed beyond this message.');
    }
    untilSeq = fromSeq;
  }
  return 0;
}

/** Returns the seq up to which the log is trimmed; undefined if that is not beyond `seq`. */
async function findTrimmedBeyond(
  deps: ReplayDeps,
  { topic, actor }: ReplayRange,
  seq: number,
): Promise<number | undefined> {
  try {
    const after = encodeCursor(deps.epoch.current, topic, seq);
    const stream = await deps.openStream({ topic, actor, after, authorize: async () => {} });
    await stream.return();
    return undefined;
  } catch (error) {
    const oldest =
      error instanceof DomainError && error.code === 'CURSOR_EXPIRED' ? error.details.oldest : undefined;
    if (oldest === undefined) throw error;
    return parseCursor(deps.epoch.current, topic, oldest);
  }
}

/** Yields the events after `fromSeq`, up to and including `untilSeq`. */
async function* readEvents(
  deps: ReplayDeps,
  { topic, actor }: ReplayRange,
  fromSeq: number,
  untilSeq: number,
): AsyncGenerator<{ readonly seq: number; readonly event: DomainEvent }, void> {
  if (fromSeq >= untilSeq) return;
  const after = encodeCursor(deps.epoch.current, topic, fromSeq);
  // The permission was checked by the join.
  const stream = await deps.openStream({ topic, actor, after, authorize: async () => {} });
  try {
    for await (const item of stream) {
      // The stream leaves out redacted events.
      const seq = parseCursor(deps.epoch.current, topic, item.cursor);
      if (item.type !== 'event' || seq > untilSeq) return;
      yield { seq, event: item.event };
      if (seq >= untilSeq) return;
    }
  } finally {
    await stream.return();
  }
}
