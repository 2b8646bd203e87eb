import { expect, test } from 'vitest';
import { KeyedSemaphore } from '../../src/lib/keyed-semaphore.ts';

test('tasks of one key wait for each other, those of another key do not, and idle keys are dropped', async () => {
  const semaphore = new KeyedSemaphore(2);
  const started: string[] = [];
  const tasks = ['a1', 'a2', 'a3', 'b1'].map((name) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const result = semaphore.run(name.slice(0, 1), () => {
      started.push(name);
      return promise;
    });
    return { finish: resolve, result };
  });
  expect(started).toEqual(['a1', 'a2', 'b1']);
  expect(semaphore.size).toBe(2);
  tasks[0]?.finish();
  await tasks[0]?.result;
  expect(started).toEqual(['a1', 'a2', 'b1', 'a3']);
  for (const { finish } of tasks) finish();
  await Promise.all(tasks.map(({ result }) => result));
  expect(semaphore.size).toBe(0);
  await expect(semaphore.run('a', () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(semaphore.size).toBe(0);
});
