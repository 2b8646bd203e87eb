import { expect, test } from 'vitest';
import { createTypingSigns } from '../../src/domain/typing-signs.ts';
import type { Notice } from '../../src/events/bus.ts';
import { conversationTopic } from '../../src/events/event.ts';
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
  const typing = createTypingSigns({ db: counted.db, bus: deps.bus });

  const answers = await Promise.allSettled([
    typing.give({ account: ann.actor, conversationId: id, isTyping: true }),
    typing.give({ account: bob.actor, conversationId: id, isTyping: true }),
    typing.give({ account: eve.actor, conversationId: id, isTyping: true }),
    typing.give({ account: ann.actor, conversationId: other.id, isTyping: true }),
    typing.give({ account: ann.actor, conversationId: id, isTyping: false }),
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
    await deps.typing.give({ account: ann.actor, conversationId: id, isTyping });
  expect(heard).toMatchObject([true, false, true].map((isTyping) => ({ ephemeral: { isTyping } })));
});
