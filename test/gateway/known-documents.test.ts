import { PothosComplexityPlugin } from '@pothos/plugin-complexity';
import { Lexer, TypeInfo } from 'graphql';
import { expect, test, vi } from 'vitest';
import { sha256 } from '../../src/gateway/execution/persisted-operations.ts';
import { FairQueue } from '../../src/lib/fair-queue.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

/** Counts what a new document costs before it is executed: its tokens, the nodes that are validated, and computations of its complexity. */
function countWork() {
  const tokens = vi.spyOn(Lexer.prototype, 'advance');
  const nodes = vi.spyOn(TypeInfo.prototype, 'enter');
  const complexity = vi.spyOn(PothosComplexityPlugin.prototype, 'checkComplexity');
  const spies = [tokens, nodes, complexity];
  return {
    take() {
      const counts = spies.map(({ mock }) => mock.calls.length);
      for (const spy of spies) spy.mockClear();
      const [parsed = 0, validated = 0, computed = 0] = counts;
      return { parsed, validated, computed };
    },
    [Symbol.dispose]() {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

const NONE = { parsed: 0, validated: 0, computed: 0 };

test('a known document is neither parsed nor validated again, and its complexity is not computed again', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const overSocket = async (query: string, variables: object): Promise<void> => {
    socket.send({ id: '1', type: 'subscribe', payload: { query, variables } });
    expect(await socket.nextOf('next')).toMatchObject({ payload: { data: {} } });
    await socket.nextOf('complete');
  };
  const overHttp = async (query: string, variables: object): Promise<void> => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
      body: JSON.stringify({ query, variables }),
    });
    expect(await response.json()).toMatchObject({ data: {} });
  };
  using work = countWork();
  const known = 'query ($id: ID!) { node(id: $id) { id } circles(first: 2) { nodes { id } } }';
  await overSocket(known, { id: ann.id });
  const first = work.take();
  expect(first.parsed).toBeGreaterThan(0);
  expect(first.validated).toBeGreaterThan(0);
  expect(first.computed).toBe(1);
  await overSocket(known, { id: ann.id });
  await overHttp(known, { id: ann.id });
  expect(work.take()).toEqual(NONE);
});

test('a complexity that depends on variables is computed for each operation', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const paged = 'query ($size: Int) { circles(first: $size) { nodes { id } } }';
  using work = countWork();
  await ann.graphql.run(paged, { size: 1 });
  await ann.graphql.run(paged, { size: 2 });
  expect(work.take().computed).toBe(2);
});

test('an operation that is known by its hash does not wait for a turn to be parsed', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  const query = '{ __typename }';
  const extensions = { persistedQuery: { version: 1, sha256Hash: sha256(query) } };
  using turns = vi.spyOn(FairQueue.prototype, 'acquire');
  const run = async (payload: object): Promise<void> => {
    socket.send({ id: '1', type: 'subscribe', payload: { ...payload, extensions } });
    expect(await socket.nextOf('next')).toMatchObject({ payload: { data: { __typename: 'Query' } } });
    await socket.nextOf('complete');
  };
  await run({ query });
  expect(turns).toHaveBeenCalledOnce();
  await run({});
  expect(turns).toHaveBeenCalledOnce();
});
