import { expect, test } from 'vitest';
import { createTypingPublisher } from '../../src/services/typing-publisher.ts';
import type { Notice } from '../../src/events/bus.ts';
import { conversationTopic } from '../../src/events/event.ts';
import { createInbox } from '../../src/testing/inbox.ts';
import { testDeps } from '../harness/deps.ts';
import { circleOf, conversationOf, person } from '../harness/seed.ts';
import { countStatements } from '../harness/statements.ts';

test('signs that come at once are looked up together, and of one account only the newest is told', async () => {
  await using deps = await testDeps();
  const [ann, bob, eve] = [await person(deps, 'ann'), await person(deps, 'bob'), await person(deps, 'eve')];
  const circle = await circleOf(deps, ann, bob, eve);
  const [{ id }, other] = [
    await conversationOf(deps, circle, ann, bob),
    await conversationOf(deps, circle, ann, bob),
  ];
  const heard: Notice[] = [];
  for (const one of [id, other.id])
    deps.bus.subscribe(conversationTopic(one), (notice) => heard.push(notice));
  const counted = countStatements(deps.db);
  const typing = createTypingPublisher({ db: counted.db, bus: deps.bus });

  const answers = await Promise.allSettled([
    typing.set({ account: ann.actor, conversationId: id, isTyping: true }),
    typing.set({ account: bob.actor, conversationId: id, isTyping: true }),
    typing.set({ account: eve.actor, conversationId: id, isTyping: true }),
    typing.set({ account: ann.actor, conversationId: other.id, isTyping: true }),
    typing.set({ account: ann.actor, conversationId: id, isTyping: false }),
  ]);

  expect(counted.count).toBe(1);
  expect(answers.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
  expect(answers[2]).toMatchObject({ reason: { code: 'NOT_FOUND' } });
  const told = (name: string, conversationId: number, isTyping: boolean) => ({
    kind: 'ephemeral',
    ephemeral: {
      type: 'typing',
      topic: `conversation:${conversationId}`,
      actor: { user: { firstName: name } },
      isTyping,
    },
  });
  expect(heard).toMatchObject([told('bob', id, true), told('ann', other.id, true), told('ann', id, false)]);
});

test('signs that come one after the other are all told', async () => {
  await using deps = await testDeps();
  const [ann, bob] = [await person(deps, 'ann'), await person(deps, 'bob')];
  const { id } = await conversationOf(deps, await circleOf(deps, ann, bob), ann, bob);
  const heard: Notice[] = [];
  deps.bus.subscribe(conversationTopic(id), (notice) => heard.push(notice));
  for (const isTyping of [true, false, true])
    await deps.typing.set({ account: ann.actor, conversationId: id, isTyping });
  expect(heard).toMatchObject([true, false, true].map((isTyping) => ({ ephemeral: { isTyping } })));
});

/** What the readers of a conversation are told, in order. */
async function conversation() {
  const deps = await testDeps();
  const [ann, bob] = [await person(deps, 'ann'), await person(deps, 'bob')];
  const { id } = await conversationOf(deps, await circleOf(deps, ann, bob), ann, bob);
  const told = createInbox<boolean>('typing');
  deps.bus.subscribe(conversationTopic(id), (notice) => {
    if (notice.kind === 'ephemeral' && notice.ephemeral.type === 'typing')
      told.push(notice.ephemeral.isTyping);
  });
  return {
    deps,
    ann: ann.actor,
    bob: bob.actor,
    id,
    told,
    [Symbol.asyncDispose]: () => deps[Symbol.asyncDispose](),
  };
}

test('typing that is not repeated ends, once', async () => {
  await using stage = await conversation();
  const { deps, ann, id, told } = stage;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus, timeoutMs: 50 });
  await typing.set({ account: ann, conversationId: id, isTyping: true });
  expect([await told.next(), await told.next()]).toEqual([true, false]);
  typing.end(ann);
  await typing.set({ account: ann, conversationId: id, isTyping: true });
  await typing.set({ account: ann, conversationId: id, isTyping: false });
  typing.end(ann);
  expect([await told.next(), await told.next()]).toEqual([true, false]);
  expect(told.waiting()).toEqual([]);
});

test('the end of an account ends its own typing alone', async () => {
  await using stage = await conversation();
  const { deps, ann, bob, id, told } = stage;
  using typing = createTypingPublisher({ db: deps.db, bus: deps.bus });
  for (const account of [ann, bob]) await typing.set({ account, conversationId: id, isTyping: true });
  typing.end(ann);
  typing.end(ann);
  expect([await told.next(), await told.next(), await told.next()]).toEqual([true, true, false]);
  expect(told.waiting()).toEqual([]);
});

test('of a node that died, the others end the typing for their readers', async () => {
  await using stage = await conversation();
  const { deps, ann, id, told } = stage;
  // Both nodes know this conversation; what one publishes the other receives.
  using survivor = createTypingPublisher({ db: deps.db, bus: deps.bus, timeoutMs: -4_950 });
  const bus = {
    ...deps.bus,
    publish(notices: readonly Notice[]) {
      for (const notice of notices) {
        survivor.received(notice);
        deps.bus.receive(notice);
      }
    },
  };
  {
    using dead = createTypingPublisher({ db: deps.db, bus });
    await dead.set({ account: ann, conversationId: id, isTyping: true });
  }
  survivor.end(ann);
  expect([await told.next(), await told.next()]).toEqual([true, false]);
});
