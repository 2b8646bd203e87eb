import DataLoader from 'dataloader';
import { findUsersById, findVisibleUsers } from '../domain/accounts.ts';
import { findParticipantsByCalls } from '../domain/call-participation.ts';
import {
  findCirclesById,
  findCirclesByActor,
  findInvitationsByCircles,
  findMembershipsByCircles,
} from '../domain/circles.ts';
import {
  findConversationsById,
  findConversationsByCircles,
  findParticipantsById,
  findParticipantsByConversations,
} from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { findVerifiedEmails } from '../domain/email-verification.ts';
import { findInvitationBlocks } from '../domain/invitation-blocks.ts';
import { findDevicesById, findDevicesByCircles } from '../domain/devices.ts';
import { eventCursors } from '../events/cursor.ts';
import { findMediaByMessages, findMediaDetails, findPreviews } from '../domain/media.ts';
import { findMessagePages, findReadableMessages } from '../domain/messages.ts';
import {
  countUnreadMessages,
  findConversationsWithUnread,
  findLastReadMessages,
} from '../domain/read-state.ts';
import { findReceiptsByParticipants, findReceiptsOfDevices } from '../domain/read-receipts.ts';
import type { Circle, Message, UserWithPresence } from '../domain/models.ts';
import type { CircleId, ConversationId, UserId } from '../ids.ts';
import type { Page } from './pagination.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** Keeps batches below PostgreSQL's limit of 65,535 parameters per statement. */
const MAX_BATCH_SIZE = 10_000;

/** Loads the value of a key in a batch with concurrent loads; undefined if there is none. */
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
 * Batches the reads of one operation: concurrent loads of the same kind become one statement. Only users are cached, as the
 * lists of an operation share most of them, until `forget` is called: the second mutation of a document must not return
 * data from before it. Batchers are created lazily, because an operation uses few of them.
 */
export class Loaders {
  /** Rows read so far. */
  rowCount = 0;
  readonly #deps: () => Deps;
  readonly #caller: () => ActorRef | null;
  readonly #loads = new Map<unknown, unknown>();
  /** Reads in flight by key. */
  readonly #sharedReads = new Map<string, Promise<unknown>>();
  readonly #users = new Map<UserId, Promise<UserWithPresence | undefined>>();

  /** `deps` is called for each read, because the operation may enter a snapshot, which has a `db` of its own. */
  constructor(deps: () => Deps, caller: () => ActorRef | null) {
    this.#deps = deps;
    this.#caller = caller;
  }

  /** Runs a read, or shares the same one in flight: a document may select a root field many times under aliases. */
  share<Result>(key: string, read: () => Promise<Result>): Promise<Result> {
    const inFlight = this.#sharedReads.get(key) as Promise<Result> | undefined;
    if (inFlight !== undefined) return inFlight;
    const started = read().finally(() => this.#sharedReads.delete(key));
    this.#sharedReads.set(key, started);
    return started;
  }

  user(id: UserId): Promise<UserWithPresence | undefined> {
    let user = this.#users.get(id);
    if (user === undefined) this.#users.set(id, (user = this.#load(findUsersById)(id)));
    return user;
  }
  /** Drops cached values. */
  forget(): void {
    this.#users.clear();
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
    return this.#load(findMembershipsByCircles);
  }
  get invitationsOf() {
    return this.#load(findInvitationsByCircles);
  }
  get invitationBlocksOf() {
    return this.#load(findInvitationBlocks);
  }
  get isEmailVerified() {
    return this.#load(findVerifiedEmails);
  }
  get deviceOf() {
    return this.#load(findDevicesByCircles);
  }
  get participantsOf() {
    return this.#load(findParticipantsByConversations);
  }
  get callParticipantsOf() {
    return this.#load(findParticipantsByCalls);
  }
  get mediaOf() {
    return this.#load(findMediaByMessages);
  }
  get mediaDetails() {
    return this.#load(findMediaDetails);
  }
  get preview() {
    return this.#load(findPreviews);
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
  /** The circle, if the caller belongs to it. */
  get ownCircle() {
    return this.#loadAsActor(ownCircles);
  }
  /** The conversations of a circle in which the caller takes part. */
  get ownConversationsOf() {
    return this.#loadAsActor(findConversationsByCircles);
  }
  /** The user, if the caller may see it. */
  get visibleUser() {
    return this.#loadAsActor(findVisibleUsers);
  }
  /** As `ownConversationsOf`, with the numbers of unread messages. */
  get ownConversationsWithUnreadOf() {
    return this.#loadAsActor(findConversationsWithUnread);
  }
  /** The number of unread messages, if the caller takes part in the conversation. */
  get unreadCount() {
    return this.#loadAsActor(countUnreadMessages);
  }
  /** The newest read message, if there is one and the caller takes part in the conversation. */
  get lastReadMessage() {
    return this.#loadAsActor(findLastReadMessages);
  }
  /** The newest message that a participant has read, if the caller sees it. */
  get receiptOf() {
    return this.#loadAsActor(findReceiptsByParticipants);
  }
  /** The newest message that the device has read in a conversation, if the caller sees it. */
  get receiptOfDevice() {
    return this.#loadAsActor(findReceiptsOfDevices);
  }
  /** The message, if the caller may read it. */
  get readableMessage() {
    return this.#loadAsActor(findReadableMessages);
  }

  #load<Key, Value>(read: Read<Key, Value>): Load<Key, Value> {
    return this.#memoize(read, (keys) => read(this.#deps(), keys));
  }

  #loadAsActor<Key, Value>(read: ReadAsActor<Key, Value>): Load<Key, Value> {
    return this.#memoize(read, async (keys) => {
      const actor = this.#caller();
      return actor === null ? new Map() : read(this.#deps(), actor, keys);
    });
  }

  #memoize<Key, Value>(
    read: unknown,
    batched: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  ): Load<Key, Value> {
    const known = this.#loads.get(read) as Load<Key, Value> | undefined;
    if (known !== undefined) return known;
    const load = createBatchLoader(async (keys: readonly Key[]) => {
      const values = await batched(keys);
      for (const value of values.values()) this.rowCount += Array.isArray(value) ? value.length : 1;
      return values;
    });
    this.#loads.set(read, load);
    return load;
  }
}

/** Loads the online status of an actor whose source lacks it. */
export const isOnline = async (actor: ActorRef, loaders: Loaders): Promise<boolean> =>
  (await loaders.isOnline(actor)) ?? false;

/** Loads the author of a message; undefined if that account was deleted. */
export async function loadAuthor(message: Message, loaders: Loaders) {
  if (message.authorUserId !== null) return loaders.user(message.authorUserId);
  return message.authorDeviceId === null ? undefined : loaders.device(message.authorDeviceId);
}

/** Creates a loader with a new DataLoader per batch: a DataLoader references its last batch, and so everything it read. */
function createBatchLoader<Key, Value>(
  read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
): Load<Key, Value> {
  let current: DataLoader<Key, Value | undefined> | undefined;
  const create = () =>
    new DataLoader<Key, Value | undefined>(
      async (keys) => {
        current = undefined;
        const values = await read([...new Set(keys)]);
        return keys.map((key) => values.get(key));
      },
      { cache: false, maxBatchSize: MAX_BATCH_SIZE },
    );
  return (key) => (current ??= create()).load(key);
}

async function ownCircles(deps: Deps, caller: ActorRef): Promise<ReadonlyMap<CircleId, Circle>> {
  const circles = await findCirclesByActor(deps, caller);
  return new Map(circles.map((circle) => [circle.id, circle]));
}

async function readOnline(
  { presence, db }: Deps,
  actors: readonly ActorRef[],
): Promise<ReadonlyMap<ActorRef, boolean>> {
  const online = await presence.isOnline(actors, db);
  return new Map(actors.map((actor) => [actor, online.has(actorKey(actor))]));
}

/** Reads message pages, with one statement per distinct page; each has up to one message more than the page holds. */
async function readPages(
  deps: Deps,
  requests: readonly PageOfConversation[],
): Promise<ReadonlyMap<PageOfConversation, readonly Message[]>> {
  const groups = Map.groupBy(requests, ({ page }) => JSON.stringify(page));
  const pages = await Promise.all(
    [...groups.values()].map(async (group) => {
      const [{ page }] = group as [PageOfConversation];
      const ids = [...new Set(group.map(({ conversationId }) => conversationId))];
      const messages = await findMessagePages(deps, ids, {
        after: page.after,
        before: page.before,
        limit: page.size + 1,
        newestFirst: page.fromEnd,
      });
      return group.map((request) => [request, messages.get(request.conversationId) ?? []] as const);
    }),
  );
  return new Map(pages.flat());
}
