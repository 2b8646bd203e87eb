import { expect, test } from 'vitest';
import {
  MAX_SUBSCRIPTION_BYTES,
  MAX_SUBSCRIPTIONS,
  OpenSubscriptions,
} from '../../src/services/open-subscriptions.ts';

const create = (documentCharacters: number, characters = 0) => ({
  document: {},
  documentCharacters,
  characters,
});

test('a payer has a number of open subscriptions', () => {
  const subscriptions = new OpenSubscriptions();
  const subscription = create(10);
  const add = (payer = 'a') => subscriptions.add(payer, subscription, true);
  for (let count = 0; count < MAX_SUBSCRIPTIONS; count += 1) expect(add()).toBeUndefined();
  expect(add()).toBe('subscriptions');
  expect(subscriptions.add('a', subscription, false)).toBeUndefined();
  expect(add('b')).toBeUndefined();
  for (let count = 0; count < 2; count += 1) subscriptions.remove('a', subscription);
  expect(add()).toBeUndefined();
});

test('what the documents and variables of a payer hold is bounded, a shared document counts once', () => {
  const subscriptions = new OpenSubscriptions();
  const half = MAX_SUBSCRIPTION_BYTES / 400;
  const [shared, other] = [create(half), create(half)];
  const add = (subscription: typeof shared) => subscriptions.add('a', subscription, false);
  for (let count = 0; count < 100; count += 1) expect(add(shared)).toBeUndefined();
  expect(add(other)).toBeUndefined();
  expect(add(create(1))).toBe('subscription bytes');
  expect(add({ ...shared, characters: 1 })).toBe('subscription bytes');
  subscriptions.remove('a', other);
  expect(add(create(0, MAX_SUBSCRIPTION_BYTES / 4))).toBeUndefined();
  expect(add(create(1))).toBe('subscription bytes');
  for (let count = 0; count < 100; count += 1) subscriptions.remove('a', shared);
  expect(add(create(half))).toBeUndefined();
});
