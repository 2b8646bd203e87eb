import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { actorKey } from '../../src/actor.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import {
  findReceiptsByParticipants,
  findReceiptsOfDevices,
  setReadReceipts,
} from '../../src/domain/read-receipts.ts';
import { markRead } from '../../src/domain/read-state.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { Envelope } from '../../src/events/event.ts';
import type { ConversationId, MessageId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUsers,
  readErrorCode,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { createRandom } from '../harness/random.ts';
import { checkChanges, followReceipts, readChanges, readLog, readState } from '../harness/read-states.ts';

interface Account {
  readonly actor: ActorRef;
  /** The e-mail of a user. */
  readonly email?: string;
  /** Whether it leaves conversations: without two that stay, they would be deleted. */
  readonly leaves: boolean;
}

/** When something was done, by a counter: between its start and its end. */
interface Period {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** A random history in a few conversations, with the marks that succeeded. */
class History {
  readonly #deps: Deps;
  readonly #admin: TestUser;
  readonly #accounts: readonly Account[];
  readonly #ids: readonly ConversationId[];
  readonly #sent = new Map<ConversationId, { readonly id: MessageId; readonly author: ActorRef }[]>();
  readonly #marked = new Map<string, Map<number, Period>>();
  readonly #marks = new Set<Promise<void>>();
  readonly #switches = new Map<ConversationId, Promise<Period & { readonly isOn: boolean }>>();
  readonly #receipts: ReturnType<typeof followReceipts>;
  #time = 0;
  /** How often a receipt was visible, and hidden while receipts were on. */
  readonly seen = { visible: 0, hidden: 0 };

  constructor(deps: Deps, admin: TestUser, accounts: readonly Account[], ids: readonly ConversationId[]) {
    this.#deps = deps;
    this.#admin = admin;
    this.#accounts = accounts;
    this.#ids = ids;
    for (const id of ids) this.#sent.set(id, []);
    this.#receipts = followReceipts(deps, ids, () => this.#now());
  }

  /** Attempts a random operation. Those of accounts that do not take part are rejected, as expected. */
  async attempt(pick: (below: number) => number): Promise<void> {
    const account = this.#accounts[pick(this.#accounts.length)] as Account;
    const conversationId = this.#ids[pick(this.#ids.length)] as ConversationId;
    const sent = this.#sent.get(conversationId) ?? [];
    const recent = sent[Math.max(0, sent.length - 1 - pick(30))];
    if (pick(100) === 0) return this.#switch(conversationId);
    switch (pick(20)) {
      case 0:
        return this.#join(account, conversationId);
      case 1:
        return this.#leave(account, conversationId);
      case 2:
      case 3:
      case 4:
        if (recent !== undefined)
          await readErrorCode(messages.deleteMessage(this.#deps, recent.author, { messageId: recent.id }));
        return;
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
        if (recent !== undefined) this.#mark(account, conversationId, recent.id);
        return;
      default:
        return this.#send(account, conversationId);
    }
  }

  #now(): number {
    this.#time += 1;
    return this.#time;
  }

  async #send({ actor }: Account, conversationId: ConversationId): Promise<void> {
    const sending = messages.sendMessage(this.#deps, actor, { conversationId, text: 'hello' });
    if ((await readErrorCode(sending)) !== 'done') return;
    this.#sent.get(conversationId)?.push({ id: (await sending).message.id, author: actor });
  }

  async #join({ email }: Account, conversationId: ConversationId): Promise<void> {
    const { actor: admin } = this.#admin;
    await readErrorCode(
      email === undefined
        ? conversations.setDeviceAccess(this.#deps, admin, { conversationId, allowed: true })
        : conversations.inviteToConversation(this.#deps, admin, { conversationId, email }),
    );
  }

  async #leave({ actor, leaves }: Account, conversationId: ConversationId): Promise<void> {
    if (!leaves) return;
    await readErrorCode(
      actor.kind === 'device'
        ? conversations.setDeviceAccess(this.#deps, actor, { conversationId, allowed: false })
        : conversations.leaveConversation(this.#deps, actor, { conversationId }),
    );
  }

  /** Turns receipts on or off: those of a conversation one after the other, so that their order is known. */
  async #switch(conversationId: ConversationId): Promise<void> {
    const former = this.#switches.get(conversationId);
    const run = async () => {
      const isOn = (await former)?.isOn !== true;
      const startedAt = this.#now();
      await setReadReceipts(this.#deps, this.#admin.actor, { conversationId, allowed: isOn });
      return { isOn, startedAt, endedAt: this.#now() };
    };
    const switching = run();
    this.#switches.set(conversationId, switching);
    await switching;
  }

  /** Does not wait for the mark: it may wait for other ones. */
  #mark({ actor }: Account, conversationId: ConversationId, messageId: MessageId): void {
    const startedAt = this.#now();
    const marking = readErrorCode(markRead(this.#deps, actor, { conversationId, messageId })).then(
      (outcome) => {
        if (outcome === 'done') this.#recordMark(actor, conversationId, messageId, startedAt);
        this.#marks.delete(marking);
      },
    );
    this.#marks.add(marking);
  }

  #recordMark(actor: ActorRef, id: ConversationId, messageId: MessageId, startedAt: number): void {
    const key = `${actorKey(actor)} ${id}`;
    const marked = this.#marked.get(key) ?? new Map<number, Period>();
    this.#marked.set(key, marked);
    const other = marked.get(messageId) ?? { startedAt, endedAt: Infinity };
    marked.set(messageId, {
      startedAt: Math.min(startedAt, other.startedAt),
      endedAt: Math.min(this.#now(), other.endedAt),
    });
  }

  /** Waits for the marks, and compares all read states and receipts with a count by hand. */
  async check(outsider: ActorRef): Promise<void> {
    await Promise.all(this.#marks);
    for (const id of this.#ids) {
      const log = await readLog(this.#deps, conversationTopic(id));
      const receipts = await this.#readReceipts(this.#admin.actor, id);
      expect(await this.#readReceipts(outsider, id)).toEqual(new Map());
      for (const { actor } of this.#accounts) {
        const { start, position, ...expected } = this.#countByHand(actor, id, log);
        expect({ actor, ...(await readState(this.#deps, actor, id)) }).toEqual({ actor, ...expected });
        const isVisible = start !== undefined && (await this.#isVisible(actor, id, start, position));
        const receipt = receipts.get(actorKey(actor));
        expect({ actor, receipt }).toEqual({ actor, receipt: isVisible ? expected.last : undefined });
      }
    }
  }

  /** Reads how far each account has read, as the viewer sees it. */
  async #readReceipts(viewer: ActorRef, id: ConversationId): Promise<Map<string, MessageId>> {
    const found = await conversations.findParticipantsByConversations(this.#deps, [id]);
    const participants = found.get(id) ?? [];
    const receipts = await findReceiptsByParticipants(
      this.#deps,
      viewer,
      participants.map((participant) => participant.id),
    );
    const device = (await findReceiptsOfDevices(this.#deps, viewer, [id])).get(id);
    const deviceKey = actorKey(
      this.#accounts.find(({ actor }) => actor.kind === 'device')?.actor as ActorRef,
    );
    return new Map([
      ...participants.flatMap(({ id: participantId, userId }): [string, MessageId][] => {
        const message = receipts.get(participantId);
        return message === undefined ? [] : [[actorKey({ kind: 'user', id: userId }), message.id]];
      }),
      ...(device === undefined ? [] : [[deviceKey, device.id] as const]),
    ]);
  }

  /** Returns whether others see the position of an account: it has moved since receipts were turned on. */
  async #isVisible(actor: ActorRef, id: ConversationId, start: number, position: number): Promise<boolean> {
    const last = await this.#switches.get(id);
    if (last?.isOn !== true) return false;
    const change = this.#marked.get(`${actorKey(actor)} ${id}`)?.get(position);
    const published = this.#receipts.newest(actor, id);
    const wasPublished = published?.messageId === position && published.at > last.startedAt;
    const isVisible =
      position > start && change !== undefined && change.endedAt > last.startedAt && wasPublished;
    // A mark that began later must have been published. In one that ran at the same time, the event tells which was first.
    if (position > start && change !== undefined && change.startedAt > last.endedAt)
      expect(wasPublished).toBe(true);
    this.seen[isVisible ? 'visible' : 'hidden'] += 1;
    return isVisible;
  }

  #countByHand(actor: ActorRef, conversationId: ConversationId, log: readonly Envelope[]) {
    const authors = new Map<number, string>();
    /** The newest message when the account joined for the last time. */
    let start: number | undefined;
    let newest = 0;
    for (const { event } of log) {
      if (event.type === 'message.sent') {
        newest = event.message.id;
        const { authorUserId, authorDeviceId } = event.message;
        authors.set(newest, authorUserId === null ? `device:${authorDeviceId}` : `user:${authorUserId}`);
      }
      if (event.type === 'message.deleted') authors.delete(event.messageId);
      const isOwn = 'user' in event && actor.kind === 'user' && event.user.id === actor.id;
      if (event.type === 'participant.joined' && isOwn) start = newest;
      if (event.type === 'participant.left' && isOwn) start = undefined;
      if (event.type === 'device-access.changed' && actor.kind === 'device')
        start = event.allowed ? newest : undefined;
    }
    if (start === undefined) return { start, position: 0, unread: undefined, last: undefined };
    // Messages that were marked before the account joined again are older than those since.
    const marked = this.#marked.get(`${actorKey(actor)} ${conversationId}`)?.keys() ?? [];
    const position = Math.max(start, ...marked);
    const ids = [...authors.keys()];
    return {
      start,
      position,
      unread: ids.filter((id) => id > position && authors.get(id) !== actorKey(actor)).length,
      last: ids.findLast((id) => id <= position),
    };
  }
}

const STEPS = 10_000;
const CHECKS = 10;
const WORKERS = 8;

test(
  'read states and receipts equal a count by hand after 10,000 random steps',
  { timeout: 200_000 },
  async () => {
    await using deps = await createTestDeps();
    const [ann, bob, cid, dot, eve] = await createUsers(deps, 'ann', 'bob', 'cid', 'dot', 'eve');
    const circle = await createCircle(deps, ann, bob, cid, dot, eve);
    const device = await createDevice(deps, circle, ann);
    const accounts: readonly Account[] = [
      ...[ann, bob].map((user) => ({ ...user, leaves: false })),
      ...[cid, dot].map((user) => ({ ...user, leaves: true })),
      { actor: device, leaves: true },
    ];
    const ids: ConversationId[] = [];
    for (const _ of indexes(3)) {
      const { id } = await createConversation(deps, circle, ann, bob, cid, dot);
      await conversations.setDeviceAccess(deps, ann.actor, { conversationId: id, allowed: true });
      ids.push(id);
    }
    const history = new History(deps, ann, accounts, ids);
    const random = createRandom(17);
    const workers = indexes(WORKERS).map(() => createRandom(random(2 ** 31)));
    for (const _ of indexes(CHECKS)) {
      await Promise.all(
        workers.map(async (pick) => {
          for (const __ of indexes(STEPS / CHECKS / WORKERS)) await history.attempt(pick);
        }),
      );
      await history.check(eve.actor);
    }
    for (const { actor } of accounts) {
      const changes = await readChanges(deps, actor);
      expect(changes.length).toBeGreaterThan(0);
      checkChanges(changes);
    }
    expect(history.seen.visible).toBeGreaterThan(5);
    expect(history.seen.hidden).toBeGreaterThan(5);
  },
);
