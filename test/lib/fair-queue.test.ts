import { expect, test, vi } from 'vitest';
import { FairQueue, FairQueueTimeoutError } from '../../src/lib/fair-queue.ts';

test('a slot is available without waiting while one is free', () => {
  const queue = new FairQueue({ concurrency: 2 });
  const slots = [queue.acquire('a'), queue.acquire('a')];
  expect(slots.map((slot) => slot instanceof Promise)).toEqual([false, false]);
  expect(queue.acquire('a')).toBeInstanceOf(Promise);
});

/** Serves the queued tasks, each of which takes `ms`, and returns the order of their flows. */
async function serveAll(queue: FairQueue, tasks: readonly [flow: string | undefined, ms: number][]) {
  const order: (string | undefined)[] = [];
  const first = await queue.acquire('first');
  const served = tasks.map(async ([flow, ms]) => {
    const slot = await queue.acquire(flow);
    order.push(flow);
    if (ms > 0) vi.advanceTimersByTime(ms);
    slot.release();
  });
  first.release();
  await Promise.all(served);
  return order;
}

test('a flow is served by what it has used, however many tasks the others have queued', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  try {
    const queue = new FairQueue({ concurrency: 1 });
    const heavy = Array.from({ length: 10 }, (): [string, number] => ['heavy', 100]);
    const light: [string, number][] = [
      ['light', 1],
      ['light', 1],
    ];
    expect((await serveAll(queue, [...heavy, ...light])).slice(0, 3)).toEqual(['heavy', 'light', 'light']);
    const both = await serveAll(queue, [
      ['heavy', 100],
      ['light', 1],
      ['other', 1],
    ]);
    expect(both).toEqual(['light', 'other', 'heavy']);
  } finally {
    vi.useRealTimers();
  }
});

test('flows of equal tasks take turns', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  try {
    const tasks = ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c'].map((flow): [string, number] => [flow, 5]);
    const order = await serveAll(new FairQueue({ concurrency: 1 }), tasks);
    for (const start of [0, 3, 6]) expect(new Set(order.slice(start, start + 3)).size).toBe(3);
  } finally {
    vi.useRealTimers();
  }
});

test('tasks without a flow take turns with those of flows', async () => {
  const tasks: [string | undefined, number][] = [
    ['a', 0],
    [undefined, 0],
    [undefined, 0],
    ['b', 0],
  ];
  expect(await serveAll(new FairQueue({ concurrency: 1 }), tasks)).toEqual([undefined, 'a', undefined, 'b']);
});

test('a task that waits too long fails, and the others are served', async () => {
  vi.useFakeTimers();
  try {
    const queue = new FairQueue({ concurrency: 1, timeoutMs: 100 });
    const slot = await queue.acquire('a');
    const late = Promise.allSettled([queue.acquire('b')]);
    await vi.advanceTimersByTimeAsync(90);
    const served = queue.acquire('c');
    await vi.advanceTimersByTimeAsync(20);
    expect(await late).toEqual([
      { status: 'rejected', reason: expect.any(FairQueueTimeoutError) as unknown },
    ]);
    expect(queue.queuedFlows).toBe(1);
    slot.release();
    expect(await served).toBeDefined();
    expect(queue.queuedFlows).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
