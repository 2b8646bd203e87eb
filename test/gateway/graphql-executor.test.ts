import { buildSchema, parse } from 'graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { expect, test, vi } from 'vitest';
import { execute } from '../../src/gateway/execution/graphql-executor.ts';

const schema = buildSchema('type Query { answer(of: Int!): Int }');

const run = (source: string, rootValue: unknown = {}) =>
  execute({ schema, document: parse(source), rootValue });

test('the signal of resolvers is aborted with one reason for all operations when an operation has finished', async () => {
  const signals: (AbortSignal | undefined)[] = [];
  const answer = async (_args: unknown, _context: unknown, info: GraphQLResolveInfo): Promise<number> => {
    const signal = info.getAbortSignal();
    signals.push(signal);
    expect(signal?.aborted).toBe(false);
    return 42;
  };
  for (let count = 0; count < 2; count += 1)
    expect(await run('{ answer(of: 1) }', { answer })).toEqual({ data: { answer: 42 } });
  const [first, second] = signals;
  expect(first?.aborted).toBe(true);
  expect(first?.reason).toMatchObject({ name: 'AbortError' });
  expect(second?.reason).toBe(first?.reason);
});

test('an operation creates its signal when a resolver asks for it, also after it has finished', async () => {
  using create = vi.spyOn(globalThis, 'AbortController');
  let info: GraphQLResolveInfo | undefined;
  const answer = async (_args: unknown, _context: unknown, itsInfo: GraphQLResolveInfo): Promise<number> => {
    info = itsInfo;
    return 42;
  };
  await run('{ answer(of: 1) }', { answer });
  expect(create).not.toHaveBeenCalled();
  expect(info?.getAbortSignal()).toMatchObject({ aborted: true, reason: { name: 'AbortError' } });
  info?.getAbortSignal();
  expect(create).toHaveBeenCalledOnce();
});

test('a resolver that asks for the signal of an operation that was aborted receives its reason', async () => {
  const controller = new AbortController();
  let late: AbortSignal | undefined;
  const answer = async (_args: unknown, _context: unknown, info: GraphQLResolveInfo): Promise<number> => {
    controller.abort('SLOW');
    late = info.getAbortSignal();
    return 42;
  };
  const document = parse('{ answer(of: 1) }');
  const execution = execute({ schema, document, rootValue: { answer }, abortSignal: controller.signal });
  await expect(execution).rejects.toThrow();
  expect(late).toMatchObject({ aborted: true, reason: 'SLOW' });
});

test('an operation that cannot be executed has its errors, and no data', async () => {
  const { errors, ...rest } = await run('query Answer($of: Int!) { answer(of: $of) }');
  expect(errors).toHaveLength(1);
  expect(rest).toEqual({});
});
