import { expect, test } from 'vitest';
import { createByteLedgers, LedgerEntry } from '../../src/lib/byte-ledger.ts';
import type { Holder } from '../../src/lib/byte-ledger.ts';
import type { UserId } from '../../src/ids.ts';

const KILOBYTE = 1024;

function openLedger() {
  const reported: Holder[] = [];
  const { inbound } = createByteLedgers({
    onEvicted: (holder) => reported.push(holder),
    totals: { account: 1000 * KILOBYTE, anonymous: 100 * KILOBYTE },
  });
  const evicted: string[] = [];
  const open = (name: string, holder: () => Holder = () => ({ address: name })) =>
    new LedgerEntry(inbound, holder, () => evicted.push(name));
  return { inbound, evicted, reported, open };
}

test('beyond the limit, the holder of the longest time is evicted', () => {
  const { inbound, evicted, reported, open } = openLedger();
  const [first, second, third] = [open('first'), open('second'), open('third')];
  first.update(40 * KILOBYTE);
  second.update(40 * KILOBYTE);
  first.update(50 * KILOBYTE);
  expect(evicted).toEqual([]);
  third.update(20 * KILOBYTE);
  expect(evicted).toEqual(['first']);
  expect(reported).toEqual([{ address: 'first' }]);
  expect(first.isCounted).toBe(false);
  expect(inbound.anonymous.bytes).toBe(60 * KILOBYTE);
});

test('bytes for which there is no room are not admitted, and those of others stay', () => {
  const { inbound, evicted, reported, open } = openLedger();
  open('first').update(60 * KILOBYTE);
  const second = { address: 'second' };
  expect(inbound.anonymous.admits(40 * KILOBYTE, second)).toBe(true);
  expect(inbound.anonymous.admits(41 * KILOBYTE, second)).toBe(false);
  expect(evicted).toEqual([]);
  expect(reported).toEqual([second]);
});

test('a holder that alone exceeds the limit is evicted itself', () => {
  const { inbound, evicted, open } = openLedger();
  open('large').update(101 * KILOBYTE);
  expect(evicted).toEqual(['large']);
  expect(inbound.anonymous.bytes).toBe(0);
});

test('small amounts are not counted, and what is released is free', () => {
  const { inbound, evicted, open } = openLedger();
  for (let count = 0; count < 100; count += 1) open('small').update(15 * KILOBYTE);
  const entry = open('large');
  entry.update(90 * KILOBYTE);
  entry.update(1);
  entry.update(90 * KILOBYTE);
  entry.release();
  expect(evicted).toEqual([]);
  expect(inbound.anonymous.bytes).toBe(0);
});

test('the bytes of a client that logs in count among those of accounts', () => {
  const { inbound, open } = openLedger();
  let holder: Holder = { address: '127.0.0.1' };
  const entry = open('client', () => holder);
  entry.update(50 * KILOBYTE);
  holder = { account: { kind: 'user', id: 7 as UserId }, address: '127.0.0.1' };
  entry.update(60 * KILOBYTE);
  expect([inbound.anonymous.bytes, inbound.account.bytes]).toEqual([0, 60 * KILOBYTE]);
});

function openWaiting(total = 90 * KILOBYTE) {
  const ledger = openLedger();
  const first = ledger.open('first');
  first.update(total);
  const order: string[] = [];
  const wait = async (name: string, bytes: number, signal = new AbortController().signal) => {
    const entry = ledger.open(name);
    order.push(`${name} ${await entry.updateWhenFree(bytes, signal)}`);
    return entry;
  };
  return { ...ledger, first, order, wait };
}

test('holders that wait are resumed in order, once their bytes fit', async () => {
  const { first, order, wait, evicted } = openWaiting();
  const [second, third] = [wait('second', 60 * KILOBYTE), wait('third', 50 * KILOBYTE)];
  expect(order).toEqual([]);
  first.release();
  (await second).release();
  await third;
  expect(order).toEqual(['second true', 'third true']);
  expect(evicted).toEqual([]);
});

test('what is free goes to those who wait before it is admitted to others', async () => {
  const { inbound, first, order, wait, evicted } = openWaiting();
  const waiting = [
    wait('second', 60 * KILOBYTE),
    wait('third', 40 * KILOBYTE),
    wait('fourth', 20 * KILOBYTE),
  ];
  first.release();
  // Synchronously: the bytes of those who are resumed count before they continue.
  expect(inbound.anonymous.bytes).toBe(100 * KILOBYTE);
  const [second, third] = await Promise.all(waiting.slice(0, 2));
  expect(order).toEqual(['second true', 'third true']);
  second?.release();
  await waiting[2];
  third?.release();
  expect(inbound.anonymous.bytes).toBe(20 * KILOBYTE);
  expect(evicted).toEqual([]);
});

test('one that stops waiting lets the next continue', async () => {
  const { order, wait } = openWaiting();
  const aborted = new AbortController();
  const second = wait('second', 60 * KILOBYTE, aborted.signal);
  const third = wait('third', 10 * KILOBYTE - 1);
  aborted.abort();
  await Promise.all([second, third]);
  expect(order).toEqual(['second false', 'third true']);
});
