import * as rows from '../db/calls.ts';
import { DomainError, END_REASONS } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import { callTopic, conversationTopic } from '../events/event.ts';
import { openStream } from '../events/open-stream.ts';
import { endReasonOf } from '../events/pull-iterator.ts';
import type { EventStream, ReaderOptions } from '../events/stream.ts';
import type { CallParticipantId, ConversationId } from '../ids.ts';
import type { WatchableConnection } from '../lib/silence-watch.ts';
import type { CallHold } from '../services/call-leases.ts';
import type { Session } from '../actor.ts';
import { requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';

export interface CallEventsInput {
  readonly conversationId: ConversationId;
  readonly after: string | null;
  /** The participant that the stream keeps in its call, if it is the actor's and has not left. */
  readonly participantId: CallParticipantId | null;
}

/** The connection's part of a request for call events. */
export interface CallEventsReader extends ReaderOptions {
  /** The connection of the stream, if it can be watched. */
  readonly connection?: WatchableConnection | undefined;
}

/** Opens a stream of the calls in a conversation. Throws NOT_FOUND without access to it, and as `openStream`. */
export async function openCallEvents(
  deps: Deps,
  { actor }: Session,
  { conversationId, after, participantId }: CallEventsInput,
  { signal, budget, connection }: CallEventsReader,
): Promise<EventStream> {
  const access = await openEphemeralStream<never>(deps, {
    topic: conversationTopic(conversationId),
    actor,
    signal,
    async authorize() {
      await requireConversationAccess(deps.db, actor, conversationId);
    },
    pick: () => undefined,
    key: () => null,
  });
  const topic = callTopic(conversationId);
  const controller = new AbortController();
  const ends = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  let isClosed = false;
  let hold: CallHold | undefined;
  const close = (): void => {
    isClosed = true;
    void access.return();
    hold?.release(endReasonOf(ends));
  };
  try {
    await rows.createLog(deps.db, topic);
    const stream = await openStream(deps, {
      topic,
      actor,
      after,
      // Checked above: the events of the conversation end this stream.
      authorize: async () => undefined,
      signal: ends,
      budget,
      onClose: close,
    });
    access.next().catch((error: unknown) => controller.abort(accessEndOf(error)));
    if (participantId !== null)
      hold = await deps.callLeases.claim(actor, { participantId, conversationId }, { connection });
    if (isClosed) close();
    return stream;
  } catch (error) {
    close();
    throw error;
  }
}

/** Returns the reason with which a stream of the conversation ended. */
function accessEndOf(error: unknown): EndReason {
  const reason = error instanceof DomainError ? error.details.reason : undefined;
  return END_REASONS.find((known) => known === reason) ?? 'ACCESS_REMOVED';
}
