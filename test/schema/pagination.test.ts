import { expect, test } from 'vitest';
import { connectionFromArray } from '../../src/schema/pagination.ts';
import type { Connection, PageArguments } from '../../src/schema/pagination.ts';

const items = [2, 3, 5, 7, 11].map((id) => ({ id }));
const idsOf = (args: PageArguments, nodes = items) =>
  connectionFromArray('Circle', nodes, args).edges.map(({ node }) => node.id);
const cursorOf = (id: number): string => connectionFromArray('Circle', [{ id }], {}).edges[0]?.cursor ?? '';

test('pages cover the whole list forwards and backwards', () => {
  const forwards: number[] = [];
  for (let after: string | null = null; ;) {
    const { edges, pageInfo }: Connection<{ id: number }> = connectionFromArray('Circle', items, {
      first: 2,
      after,
    });
    forwards.push(...edges.map(({ node }) => node.id));
    expect(pageInfo.hasPreviousPage).toBe(after !== null);
    if (!pageInfo.hasNextPage) break;
    after = pageInfo.endCursor;
  }
  expect(forwards).toEqual([2, 3, 5, 7, 11]);
  const backwards: number[] = [];
  for (let before: string | null = null; ;) {
    const { edges, pageInfo }: Connection<{ id: number }> = connectionFromArray('Circle', items, {
      last: 2,
      before,
    });
    backwards.unshift(...edges.map(({ node }) => node.id));
    expect(pageInfo.hasNextPage).toBe(before !== null);
    if (!pageInfo.hasPreviousPage) break;
    before = pageInfo.startCursor;
  }
  expect(backwards).toEqual([2, 3, 5, 7, 11]);
});

test('a cursor is stable, and stays valid after its node is deleted', () => {
  expect(idsOf({ after: cursorOf(4) })).toEqual([5, 7, 11]);
  expect(idsOf({ after: cursorOf(3), before: cursorOf(11) })).toEqual([5, 7]);
  expect(cursorOf(5)).toBe(
    connectionFromArray('Circle', items, { after: cursorOf(3), first: 1 }).pageInfo.startCursor,
  );
});

test('pages are ordered by id', () => {
  expect(idsOf({}, items.toReversed())).toEqual([2, 3, 5, 7, 11]);
  expect(idsOf({ last: 2 })).toEqual([7, 11]);
  expect(idsOf({ first: 0 })).toEqual([]);
});

test('the default page size is 20', () => {
  const thirtyItems = Array.from({ length: 30 }, (_, index) => ({ id: index + 1 }));
  const { edges, pageInfo } = connectionFromArray('Circle', thirtyItems, {});
  expect(edges).toHaveLength(20);
  expect(pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
});

test('empty cursors and null arguments count as absent', () => {
  for (const args of [
    { after: '' },
    { before: '' },
    { after: '', before: '' },
    { after: null, before: null, first: null, last: null },
    { first: 20, last: null },
    { first: null, last: 20, before: '' },
  ]) {
    expect(idsOf(args), JSON.stringify(args)).toEqual([2, 3, 5, 7, 11]);
  }
  expect(idsOf({ first: 2, after: '' })).toEqual([2, 3]);
  expect(idsOf({ last: 0 })).toEqual([]);
  expect(() => idsOf({ first: 0, last: 0 })).toThrow('Pass either first or last, not both.');
});

test('a cursor of another list is rejected', () => {
  const after = connectionFromArray('Message', items, {}).pageInfo.startCursor;
  expect(() => connectionFromArray('Circle', items, { after })).toThrow(
    'after is not a cursor of this list.',
  );
});
