import { expect, test, vi } from 'vitest';
import { createTypingPublisher } from '../../src/services/typing-publisher.ts';
import type { Notice } from '../../src/events/bus.ts';
import { conversationTopic } from '../../src/events/event.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUser } from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';

test('concurrent updates share one access check, and only the newest of an actor is published', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = [
    await createUser(deps, 'ann'),
    await createUser(deps, 'bob'),
    await createUser(deps, 'eve'),
  ];
  const circle = await createCircle(deps, ann, bob, eve);
  const [{ id }, other] = [
    await createConversation(deps, circle, ann, bob),
    await createConversation(deps, circle, ann, bob),
  ];
  const published: Notice[] = [];
  for (const one of [id, other.id])
    deps.bus.subscribe(conversationTopic(one), (notice) => published.push(notice));
  const counted = countStatements(deps.db);
  const typing = createTypingPublisher({ db: counted.db, bus: deps.bus });

  const results = await Promise.allSettled([
    typing.set({ account: ann.actor, conversationId: id, isTyping: true }),
    typing.set({ account: bob.actor, conversationId: id, isTyping: true }),
    typing.set({ account: eve.actor, conversationId: id, isTyping: true }),
    typing.set({ account: ann.actor, conversationId: other.id, isTyping: true }),
    typing.set({ account: ann.actor, conversationId: id, isTyping: false }),
  ]);

  expect(counted.count).toBe(1);
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
    typingOf('ann', other.id, true),
    typingOf('ann', id, false),
  ]);
});

test('sequential updates are all published', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = [await createUser(deps, 'ann'), await createUser(deps, 'bob')];
  const { id } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const published: Notice[] = [];
  deps.bus.subscribe(conversationTopic(id), (notice) => published.push(notice));
  for (const isTyping of [true, false, true])
    await deps.typing.set({ account: ann.actor, conversationId: id, isTyping });
  expect(published).toMatchObject([true, false, true].map((isTyping) => ({ ephemeral: { isTyping } })));
});

/** A conversation with what its subscribers receive, in order, while timers are fake. */
async function testConversation() {
  const deps = await createTestDeps();
  const [ann, bob] = [await createUser(deps, 'ann'), await createUser(deps, 'bob')];
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

test('typing that is not repeated for 15 seconds ends, once', async () => {
  await using t = await testConversation();
  const { deps, ann, id, received } = t;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus });
  const setTyping = (isTyping: boolean) => typing.set({ account: ann, conversationId: id, isTyping });
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
  await using t = await testConversation();
  const { deps, ann, bob, id, received } = t;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus });
  for (const account of [ann, bob]) await typing.set({ account, conversationId: id, isTyping: true });
  typing.endAll(ann);
  typing.endAll(ann);
  expect(received).toEqual([true, true, false]);
});

test('the other nodes end the typing of a dead node for their own subscribers', async () => {
  await using t = await testConversation();
  const { deps, ann, id, received } = t;
  // Both nodes share one bus here: the survivor receives what the dead node published.
  using survivor = createTypingPublisher({ db: deps.db, bus: deps.bus });
  const bus = {
    ...deps.bus,
    publish(notices: readonly Notice[]) {
      for (const notice of notices) {
        survivor.onReceived(notice);
        deps.bus.receive(notice);
      }
    },
  };
  {
    using dead = createTypingPublisher({ db: deps.db, bus });
    await dead.set({ account: ann, conversationId: id, isTyping: true });
  }
  survivor.endAll(ann);
  vi.advanceTimersByTime(19_999);
  expect(received).toEqual([true]);
  vi.advanceTimersByTime(1);
  expect(received).toEqual([true, false]);
});
