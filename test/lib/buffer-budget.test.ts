import { expect, test } from 'vitest';
import { BufferBudget } from '../../src/lib/buffer-budget.ts';

test('a budget is exceeded with its own bytes, and with those of all connections', () => {
  const total = new BufferBudget(100);
  const [first, second, third] = [
    new BufferBudget(60, total),
    new BufferBudget(60, total),
    new BufferBudget(60, total),
  ];
  const [a, b] = [{}, {}];
  first.reserve(a, 50);
  second.reserve(a, 50);
  expect([first, second, third].map(({ isExceeded }) => isExceeded)).toEqual([false, false, false]);
  second.reserve(b, 20);
  expect([first.isExceeded, second.isExceeded]).toEqual([false, true]);
  third.reserve({}, 40);
  expect(total.reserved).toBe(110);
  expect([first, second, third].map(({ isExceeded }) => isExceeded)).toEqual([true, true, true]);
  first.release(a, 50);
  second.release(b, 20);
  expect(total.reserved).toBe(90);
  expect([first, second, third].map(({ isExceeded }) => isExceeded)).toEqual([false, false, false]);
});
