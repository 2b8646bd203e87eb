import { DomainError } from '../errors.ts';
import { encodeCursor, parseCursor } from '../events/cursor.ts';
import type { DomainEvent, Topic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf } from './contract/event-frames.ts';
import type { ActorRef } from '../actor.ts';

const WINDOW = 200;

/** The part of a conversation's log that a client which was away has missed, up to what its permission knows. */
export interface Missed {
  readonly topic: Topic;
  readonly actor: ActorRef;
  readonly afterMessageId: number;
  readonly until: number;
  /** The newest message at that moment; undefined when there is none. */
  readonly newestMessageId: number | undefined;
}

type LogDeps = Pick<BridgeDeps, 'epoch' | 'openStream'>;

/**
 * Finds what was said after a message, as the frames of then, in order and each once. They are read from the log
 * while they are taken. Throws CURSOR_EXPIRED when the log does not reach back to that message.
 */
export async function openCatchUp(deps: LogDeps, missed: Missed): Promise<AsyncIterable<Frame>> {
  const from = await positionOf(deps, missed);
  return framesAfter(deps, missed, from);
}

async function* framesAfter(deps: LogDeps, missed: Missed, from: number): AsyncGenerator<Frame, void> {
  for await (const { event } of eventsBetween(deps, missed, from, missed.until)) {
    yield* framesOf(event).filter(({ channel }) => channel === 'message');
  }
}

/** Where the message, or the last one before it, was sent. Ids of messages grow with positions. */
async function positionOf(deps: LogDeps, missed: Missed): Promise<number> {
  for (let upTo = missed.until; upTo > 0;) {
    const oldest = Math.max(0, upTo - WINDOW);
    const trimmed = await trimmedAfter(deps, missed, oldest);
    const from = Math.max(oldest, trimmed ?? 0);
    let found: number | undefined;
    for await (const { seq, event } of eventsBetween(deps, missed, from, upTo)) {
      if (event.type === 'message.sent' && event.message.id <= missed.afterMessageId) found = seq;
    }
    if (found !== undefined) return found;
    if (trimmed !== undefined) {
      // Whoever has the newest message has missed none, however far the log reaches back.
      if (missed.afterMessageId >= (missed.newestMessageId ?? 0)) return from;
      throw new DomainError('CURSOR_EXPIRED', 'The log does not reach back so far.');
    }
    upTo = from;
  }
  return 0;
}

/** How far the log was trimmed, if that is further than the position. */
async function trimmedAfter(
  deps: LogDeps,
  { topic, actor }: Missed,
  position: number,
): Promise<number | undefined> {
  try {
    const after = encodeCursor(deps.epoch, topic, position);
    const stream = await deps.openStream({ topic, actor, after, authorise: async () => {} });
    await stream.return();
    return undefined;
  } catch (error) {
    const oldest =
      error instanceof DomainError && error.code === 'CURSOR_EXPIRED' ? error.details.oldest : undefined;
    if (oldest === undefined) throw error;
    return parseCursor(deps.epoch, topic, oldest);
  }
}

async function* eventsBetween(
  deps: LogDeps,
  { topic, actor }: Missed,
  from: number,
  upTo: number,
): AsyncGenerator<{ readonly seq: number; readonly event: DomainEvent }, void> {
  if (from >= upTo) return;
  const after = encodeCursor(deps.epoch, topic, from);
  const stream = await deps.openStream({ topic, actor, after, authorise: async () => {} });
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
