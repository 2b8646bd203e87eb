import DataLoader from 'dataloader';
import { findUsersById, findVisibleUsers } from '../domain/accounts.ts';
import {
  findCirclesById,
  findCirclesOf,
  findInvitationsOfCircles,
  findMembershipsOfCircles,
} from '../domain/circles.ts';
import {
  findConversationsById,
  findConversationsOf,
  findParticipantsById,
  findParticipantsOfConversations,
} from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { findDevicesById, findDevicesOfCircles } from '../domain/devices.ts';
import { eventCursors } from '../events/cursor.ts';
import { findMediaOfMessages } from '../domain/media.ts';
import { findMessagePages, findReadableMessages } from '../domain/messages.ts';
import type { Circle, Message } from '../domain/models.ts';
import type { CircleId, ConversationId } from '../ids.ts';
import type { Page } from './pagination.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** A statement has at most 65,535 parameters. */
const MAX_BATCH = 10_000;

/** Answers for a key, together with all that are asked for at the same moment; undefined when there is nothing. */
type Load<Key, Value> = (key: Key) => Promise<Value | undefined>;
type Read<Key, Value> = (deps: Deps, keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>;
type ReadAsActor<Key, Value> = (
  deps: Deps,
  actor: ActorRef,
  keys: readonly Key[],
) => Promise<ReadonlyMap<Key, Value>>;

interface PageOfConversation {
  readonly conversationId: ConversationId;
  readonly page: Page<'Message'>;
}

/**
 * Batches the reads of one operation: what many fields ask for at the same moment is read in one statement. Nothing
 * is remembered, or the second mutation of a document would be answered with what was true before it. An operation
 * uses few of the batches, so each is made when it is first asked for.
 */
export class Loaders {
  readonly #deps: () => Deps;
  readonly #caller: () => ActorRef | null;
  readonly #loads = new Map<unknown, unknown>();

  /** The dependencies are asked for at each read, because an operation may be given a snapshot to read from. */
  constructor(deps: () => Deps, caller: () => ActorRef | null) {
    this.#deps = deps;
    this.#caller = caller;
  }

  get user() {
    return this.#load(findUsersById);
  }
  get device() {
    return this.#load(findDevicesById);
  }
  get circle() {
    return this.#load(findCirclesById);
  }
  get conversation() {
    return this.#load(findConversationsById);
  }
  get participant() {
    return this.#load(findParticipantsById);
  }
  get membersOf() {
    return this.#load(findMembershipsOfCircles);
  }
  get invitationsOf() {
    return this.#load(findInvitationsOfCircles);
  }
  get deviceOf() {
    return this.#load(findDevicesOfCircles);
  }
  get participantsOf() {
    return this.#load(findParticipantsOfConversations);
  }
  get mediaOf() {
    return this.#load(findMediaOfMessages);
  }
  get eventCursor() {
    return this.#load(eventCursors);
  }
  get isOnline() {
    return this.#load(readOnline);
  }
  get messages() {
    return this.#load(readPages);
  }
  /** A circle that the caller belongs to. */
  get ownCircle() {
    return this.#loadAsActor(ownCircles);
  }
  /** The conversations of a circle in which the caller takes part. */
  get ownConversationsOf() {
    return this.#loadAsActor(findConversationsOf);
  }
  /** A user whom the caller may know of. */
  get visibleUser() {
    return this.#loadAsActor(findVisibleUsers);
  }
  /** A message that the caller may read. */
  get readableMessage() {
    return this.#loadAsActor(findReadableMessages);
  }

  #load<Key, Value>(read: Read<Key, Value>): Load<Key, Value> {
    return this.#made(read, (keys) => read(this.#deps(), keys));
  }

  #loadAsActor<Key, Value>(read: ReadAsActor<Key, Value>): Load<Key, Value> {
    return this.#made(read, async (keys) => {
      const actor = this.#caller();
      return actor === null ? new Map() : read(this.#deps(), actor, keys);
    });
  }

  #made<Key, Value>(
    read: unknown,
    batched: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  ): Load<Key, Value> {
    const known = this.#loads.get(read) as Load<Key, Value> | undefined;
    if (known !== undefined) return known;
    const load = batch(batched);
    this.#loads.set(read, load);
    return load;
  }
}

/** For one who was read without. */
export const isOnline = async (actor: ActorRef, loaders: Loaders): Promise<boolean> =>
  (await loaders.isOnline(actor)) ?? false;

/** Undefined when that account is gone. */
export async function loadAuthor(message: Message, loaders: Loaders) {
  if (message.authorUserId !== null) return loaders.user(message.authorUserId);
  return message.authorDeviceId === null ? undefined : loaders.device(message.authorDeviceId);
}

/** A loader remembers its last batch: each batch has one of its own, or an operation would hold on to all that it read. */
function batch<Key, Value>(
  read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
): Load<Key, Value> {
  let open: DataLoader<Key, Value | undefined> | undefined;
  const create = () =>
    new DataLoader<Key, Value | undefined>(
      async (keys) => {
        open = undefined;
        const values = await read([...new Set(keys)]);
        return keys.map((key) => values.get(key));
      },
      { cache: false, maxBatchSize: MAX_BATCH },
    );
  return (key) => (open ??= create()).load(key);
}

async function ownCircles(deps: Deps, caller: ActorRef): Promise<ReadonlyMap<CircleId, Circle>> {
  const circles = await findCirclesOf(deps, caller);
  return new Map(circles.map((circle) => [circle.id, circle]));
}

async function readOnline(
  { presence, db }: Deps,
  actors: readonly ActorRef[],
): Promise<ReadonlyMap<ActorRef, boolean>> {
  const online = await presence.isOnline(actors, db);
  return new Map(actors.map((one) => [one, online.has(actorKey(one))]));
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
      const ids = [...new Set(group.map(({ conversationId }) => conversationId))];
      const messages = await findMessagePages(deps, ids, {
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
