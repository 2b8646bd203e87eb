import { expect, test } from 'vitest';
import type { UserId } from '../../src/ids.ts';
import { createAccountConnections } from '../../src/services/account-connections.ts';

const ANN = { kind: 'user', id: 1 as UserId } as const;
const BOB = { kind: 'user', id: 2 as UserId } as const;

function createFixture(enabled = true) {
  const closed: string[] = [];
  const refusals: unknown[] = [];
  const connections = createAccountConnections({
    enabled,
    max: 2,
    reportRefusal: (...refusal) => refusals.push(refusal),
  });
  const open = (account: typeof ANN | typeof BOB, name: string) => {
    const connection = { end: (reason: string) => void closed.push(`${name} ${reason}`) };
    connections.add(account, connection);
    return () => connections.remove(account, connection);
  };
  return { closed, refusals, open };
}

test('the oldest connection of an account makes room for its newest, and others are left alone', () => {
  const { closed, refusals, open } = createFixture();
  open(ANN, 'first');
  open(BOB, 'of Bob');
  const closeSecond = open(ANN, 'second');
  expect(closed).toEqual([]);
  open(ANN, 'third');
  expect(closed).toEqual(['first SLOW']);
  expect(refusals).toEqual([['account connections', { account: ANN }]]);
  closeSecond();
  closeSecond();
  open(ANN, 'fourth');
  expect(closed).toEqual(['first SLOW']);
});

test('without limits no connection is closed', () => {
  const { closed, open } = createFixture(false);
  for (const name of ['1', '2', '3', '4']) open(ANN, name)();
  for (const name of ['1', '2', '3', '4']) open(ANN, name);
  expect(closed).toEqual([]);
});
