import { expect, test } from 'vitest';
import { createLruCache } from '../../src/lib/lru-cache.ts';

test('a cache keeps what was used last, within its size', () => {
  const cache = createLruCache<number>(6);
  cache.set('aa', 1);
  cache.set('bb', 2);
  cache.set('cc', 3);
  expect(cache.get('aa')).toBe(1);
  cache.set('dd', 4);
  expect(['aa', 'bb', 'cc', 'dd'].map((key) => cache.get(key))).toEqual([1, undefined, 3, 4]);
  cache.set('dd', 5);
  expect(['aa', 'cc', 'dd'].map((key) => cache.get(key))).toEqual([1, 3, 5]);
  cache.set('eeeeee', 6);
  expect(['aa', 'cc', 'dd', 'eeeeee'].map((key) => cache.get(key))).toEqual([
    undefined,
    undefined,
    undefined,
    6,
  ]);
  cache.set('too long', 7);
  expect(cache.get('too long')).toBeUndefined();
  expect(cache.get('eeeeee')).toBeUndefined();
});
