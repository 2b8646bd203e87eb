import { expect, test } from 'vitest';
import { createOperations } from '../../src/gateway/websocket/operation-ids.ts';

test('what waits for an id that is not free yet is bounded', async () => {
  let free = (): void => undefined;
  let handled = 0;
  const operations = createOperations(
    (text) => {
      handled += 1;
      return text.includes('first') ? new Promise((resolve) => (free = resolve)) : Promise.resolve();
    },
    () => undefined,
  );
  const subscribe = (text: string) =>
    operations.receive(JSON.stringify({ id: '1', type: 'subscribe', text }));
  const complete = () => operations.receive(JSON.stringify({ id: '1', type: 'complete' }));
  const first = subscribe('first');
  await complete();
  const waiting: Promise<void>[] = [];
  for (let index = 0; index < 10; index += 1) {
    waiting.push(subscribe('x'.repeat(100_000)));
    await complete();
  }
  await expect(subscribe('x'.repeat(100_000))).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  free();
  await Promise.all([first, ...waiting]);
  handled = 0;
  await subscribe('again');
  expect(handled).toBe(1);
  expect(operations.size).toBe(0);
});
