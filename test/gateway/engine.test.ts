import { GraphQLInt, GraphQLObjectType, GraphQLSchema } from 'graphql';
import type { GraphQLError } from 'graphql';
import { expect, test } from 'vitest';
import { createEngine } from '../../src/gateway/execution/engine.ts';
import type { ResultStream } from '../../src/gateway/execution/result-stream.ts';
import { createContext } from '../../src/schema/context.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { createTestDeps } from '../harness/deps.ts';

/** Creates an engine with one subscription that counts, and a counter of executed results. */
async function createCountingEngine() {
  const deps = await createTestDeps();
  let executed = 0;
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { nothing: { type: GraphQLInt } } }),
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: {
        count: {
          type: GraphQLInt,
          async *subscribe() {
            for (let number = 1; ; number += 1) yield { number };
          },
          resolve: ({ number }: { number: number }) => ((executed += 1), number),
        },
      },
    }),
  });
  const engine = createEngine({
    schema,
    formatError: (error) => error as GraphQLError,
    introspection: true,
  });
  const semaphore = new Semaphore(2);
  const openStream = async (): Promise<ResultStream> => {
    const document = engine.parse('subscription { count }');
    const result = await engine.subscribe({
      document,
      context: createContext({ deps, session: null }),
      semaphore,
    });
    if (!(Symbol.asyncIterator in result)) throw new Error('Expected a stream.');
    return result;
  };
  return { openStream, semaphore, executed: () => executed };
}

const FIRST_RESULT = { done: false, value: { data: { count: 1 } } };

test('a result waits for a permit, which the next call of an earlier stream releases', async () => {
  const { openStream, executed } = await createCountingEngine();
  const [firstStream, secondStream, thirdStream, fourthStream] = [
    await openStream(),
    await openStream(),
    await openStream(),
    await openStream(),
  ];
  expect(await Promise.all([firstStream.next(), secondStream.next()])).toEqual([FIRST_RESULT, FIRST_RESULT]);
  const [thirdResult, fourthResult] = [thirdStream.next(), fourthStream.next()];
  expect(executed()).toBe(2);
  const secondResult = firstStream.next();
  expect(await thirdResult).toEqual(FIRST_RESULT);
  await secondStream.return();
  expect(await fourthResult).toEqual(FIRST_RESULT);
  expect(executed()).toBe(4);
  await thirdStream.return();
  expect(await secondResult).toEqual({ done: false, value: { data: { count: 2 } } });
  await Promise.all([firstStream.return(), fourthStream.return()]);
});

test('a stream that is closed while it waits for a permit executes nothing and blocks no other stream', async () => {
  const { openStream, semaphore, executed } = await createCountingEngine();
  const [firstStream, secondStream, thirdStream] = [
    await openStream(),
    await openStream(),
    await openStream(),
  ];
  await Promise.all([firstStream.next(), secondStream.next()]);
  const thirdResult = thirdStream.next();
  await thirdStream.return();
  expect(await thirdResult).toEqual({ done: true, value: undefined });
  await Promise.all([firstStream.return(), secondStream.return()]);
  expect(executed()).toBe(2);
  expect(semaphore).toMatchObject({ queuedCount: 0, isIdle: true });
});
