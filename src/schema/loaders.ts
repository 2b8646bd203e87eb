import DataLoader from 'dataloader';
import { usersById, visibleUsers } from '../domain/accounts.ts';
import type { Actor } from '../domain/actor.ts';
import { circlesById, circlesOf, invitationsOfCircles, membershipsOfCircles } from '../domain/circles.ts';
import {
  conversationsById,
  conversationsOf,
  participantsById,
  participantsOfConversations,
} from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { devicesById, devicesOfCircles } from '../domain/devices.ts';
import { eventCursors } from '../domain/event-cursors.ts';
import { mediaOfMessages } from '../domain/media.ts';
import { messagesPage, readableMessages } from '../domain/messages.ts';
import type { Circle, Message } from '../domain/models.ts';
import { actorKey } from '../events/event.ts';
import type { ActorRef } from '../events/event.ts';
import type { CircleId, ConversationId } from '../ids.ts';
import type { Page } from './connection.ts';

/** A statement has at most 65,535 parameters. */
const MAX_BATCH = 10_000;

/** Answers for a key, together with all that are asked for at the same moment; undefined when there is nothing. */
type Load<Key, Value> = (key: Key) => Promise<Value | undefined>;
type Read<Key, Value> = (deps: Deps, keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>;

interface PageOfConversation {
  readonly conversationId: ConversationId;
  readonly page: Page<'Message'>;
}

export type Loaders = ReturnType<typeof createLoaders>;

/**
 * Batches the reads of one operation: what many fields ask for at the same moment is read in one statement. Nothing
 * is remembered, or the second mutation of a document would be answered with what was true before it. The
 * dependencies are asked for at each read, because an operation may be given a snapshot to read from.
 */
export function createLoaders(deps: () => Deps, caller: () => Actor | null) {
  const load = <Key, Value>(read: Read<Key, Value>): Load<Key, Value> => batch((keys) => read(deps(), keys));
  const loadAsActor = <Key, Value>(
    read: (deps: Deps, actor: Actor, keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  ) =>
    load<Key, Value>(async (current, keys) => {
      const actor = caller();
      return actor === null ? new Map() : read(current, actor, keys);
    });

  return {
    user: load(usersById),
    device: load(devicesById),
    circle: load(circlesById),
    conversation: load(conversationsById),
    participant: load(participantsById),
    membersOf: load(membershipsOfCircles),
    invitationsOf: load(invitationsOfCircles),
    deviceOf: load(devicesOfCircles),
    participantsOf: load(participantsOfConversations),
    mediaOf: load(mediaOfMessages),
    eventCursor: load(eventCursors),
    /** A circle that the caller belongs to. */
    ownCircle: loadAsActor<CircleId, Circle>(async (current, caller) => {
      const circles = await circlesOf(current, caller);
      return new Map(circles.map((circle) => [circle.id, circle]));
    }),
    /** The conversations of a circle in which the caller takes part. */
    ownConversationsOf: loadAsActor(conversationsOf),
    /** A user whom the caller may know of. */
    visibleUser: loadAsActor(visibleUsers),
    /** A message that the caller may read. */
    readableMessage: loadAsActor(readableMessages),
    isOnline: batch<ActorRef, boolean>(async (actors) => {
      const online = await deps().presence.isOnline(actors, deps().db);
      return new Map(actors.map((one) => [one, online.has(actorKey(one))]));
    }),
    messages: batch<PageOfConversation, readonly Message[]>((asked) => readPages(deps(), asked)),
  };
}

function batch<Key, Value>(
  read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
): Load<Key, Value> {
  const loader = new DataLoader<Key, Value | undefined>(
    async (keys) => {
      const values = await read([...new Set(keys)]);
      return keys.map((key) => values.get(key));
    },
    { cache: false, maxBatchSize: MAX_BATCH },
  );
  return (key) => loader.load(key);
}

/** One statement for all conversations of which the same page is asked for, with one message more than it holds. */
async function readPages(
  deps: Deps,
  asked: readonly PageOfConversation[],
): Promise<ReadonlyMap<PageOfConversation, readonly Message[]>> {
  const groups = Map.groupBy(asked, ({ page }) => JSON.stringify(page));
  const read = await Promise.all(
    [...groups.values()].map(async (group) => {
      const [{ page }] = group as [PageOfConversation];
      const ids = group.map(({ conversationId }) => conversationId);
      const messages = await messagesPage(deps, ids, {
        after: page.after,
        before: page.before,
        limit: page.size + 1,
        newestFirst: page.fromEnd,
      });
      return group.map((one) => [one, messages.get(one.conversationId) ?? []] as const);
    }),
  );
  return new Map(read.flat());
}
