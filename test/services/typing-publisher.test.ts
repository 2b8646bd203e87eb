import { expect, test, vi } from 'vitest';
import { createTypingPublisher } from '../../src/services/typing-publisher.ts';
import type { Notice } from '../../src/events/bus.ts';
import { conversationTopic } from '../../src/events/event.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUsers } from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';

test('concurrent updates share one access check, and only the newest of an actor is published', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const [{ id }, otherConversation] = [
    await createConversation(deps, circle, ann, bob),
    await createConversation(deps, circle, ann, bob),
  ];
  const published: Notice[] = [];
  for (const conversationId of [id, otherConversation.id])
    deps.bus.subscribe(conversationTopic(conversationId), (notice) => void published.push(notice));
  const statements = countStatements(deps.db);
  const typing = createTypingPublisher({ db: statements.db, bus: deps.bus });

  const results = await Promise.allSettled([
    typing.set({ actor: ann.actor, conversationId: id, isTyping: true }),
    typing.set({ actor: bob.actor, conversationId: id, isTyping: true }),
    typing.set({ actor: eve.actor, conversationId: id, isTyping: true }),
    typing.set({ actor: ann.actor, conversationId: otherConversation.id, isTyping: true }),
    typing.set({ actor: ann.actor, conversationId: id, isTyping: false }),
  ]);

  expect(statements.count).toBe(1);
  expect(results.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
  expect(results[2]).toMatchObject({ reason: { code: 'NOT_FOUND' } });
  const typingOf = (name: string, conversationId: number, isTyping: boolean) => ({
    kind: 'ephemeral',
    ephemeral: {
      type: 'typing',
      topic: `conversation:${conversationId}`,
      actor: { user: { firstName: name } },
      isTyping,
    },
  });
  expect(published).toMatchObject([
    typingOf('bob', id, true),
    typingOf('ann', otherConversation.id, true),
    typingOf('ann', id, false),
  ]);
});

test('sequential updates are all published', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const published: Notice[] = [];
  deps.bus.subscribe(conversationTopic(id), (notice) => void published.push(notice));
  for (const isTyping of [true, false, true])
    await deps.typing.set({ actor: ann.actor, conversationId: id, isTyping });
  expect(published).toMatchObject([true, false, true].map((isTyping) => ({ ephemeral: { isTyping } })));
});

/** Creates a conversation, records what its subscribers receive, and installs fake timers. */
async function createTypingFixture() {
  const deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const received: boolean[] = [];
  deps.bus.subscribe(conversationTopic(id), (notice) => {
    if (notice.kind === 'ephemeral' && notice.ephemeral.type === 'typing')
      received.push(notice.ephemeral.isTyping);
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return {
    deps,
    ann: ann.actor,
    bob: bob.actor,
    id,
    received,
    async [Symbol.asyncDispose]() {
      vi.useRealTimers();
      await deps[Symbol.asyncDispose]();
    },
  };
}

test('typing that is not repeated for 15 seconds ends once', async () => {
  await using fixture = await createTypingFixture();
  const { deps, ann, id, received } = fixture;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus });
  const setTyping = (isTyping: boolean) => typing.set({ actor: ann, conversationId: id, isTyping });
  await setTyping(true);
  vi.advanceTimersByTime(14_000);
  await setTyping(true);
  vi.advanceTimersByTime(14_999);
  expect(received).toEqual([true, true]);
  vi.advanceTimersByTime(1);
  expect(received).toEqual([true, true, false]);
  typing.endAll(ann);
  await setTyping(true);
  await setTyping(false);
  typing.endAll(ann);
  vi.advanceTimersByTime(60_000);
  expect(received).toEqual([true, true, false, true, false]);
});

test('endAll ends the typing of one actor only', async () => {
  await using fixture = await createTypingFixture();
  const { deps, ann, bob, id, received } = fixture;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus });
  for (const actor of [ann, bob]) await typing.set({ actor, conversationId: id, isTyping: true });
  typing.endAll(ann);
  typing.endAll(ann);
  expect(received).toEqual([true, true, false]);
});

test('the other nodes end the typing of a dead node for their own subscribers', async () => {
  await using fixture = await createTypingFixture();
  const { deps, ann, id, received } = fixture;
  // Both nodes share one bus here: the other node receives what the dead one published.
  using otherNode = createTypingPublisher({ db: deps.db, bus: deps.bus });
  const bus = {
    ...deps.bus,
    publish(notices: readonly Notice[]) {
      for (const notice of notices) {
        otherNode.onReceived(notice);
        deps.bus.receive(notice);
      }
    },
  };
  {
    using deadNode = createTypingPublisher({ db: deps.db, bus });
    await deadNode.set({ actor: ann, conversationId: id, isTyping: true });
  }
  otherNode.endAll(ann);
  vi.advanceTimersByTime(19_999);
  expect(received).toEqual([true]);
  vi.advanceTimersByTime(1);
  expect(received).toEqual([true, false]);
});
