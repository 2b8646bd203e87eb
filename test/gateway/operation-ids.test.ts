import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { OperationTracker } from '../../src/gateway/websocket/operation-ids.ts';

test('a longer id than 256 characters closes the connection, with a code and a record', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  const send = (length: number) =>
    socket.send({ id: 'é'.repeat(length), type: 'subscribe', payload: { query: '{ __typename }' } });
  send(256);
  await socket.nextOf('complete');
  send(257);
  expect(await socket.waitForClose()).toEqual({ code: 4400, reason: 'LIMIT_EXCEEDED' });
  expect(await (await fetch(`${app.url}/metrics`)).text()).toContain(
    'parley_refusals_total{limit="operation ids"} 1',
  );
});

test('frames queued for an id that is still in use are bounded', async () => {
  let endFirst = (): void => undefined;
  let handled = 0;
  const operations = new OperationTracker(
    (frame) => {
      handled += 1;
      return JSON.stringify(frame).includes('first')
        ? new Promise((resolve) => (endFirst = resolve))
        : Promise.resolve();
    },
    () => undefined,
  );
  let inProgress = 0;
  const progress = { settled: (bytes: number) => void (inProgress -= bytes) };
  const receive = (frame: object) => {
    const text = JSON.stringify(frame);
    inProgress += text.length;
    return operations.receive(text, text.length, progress);
  };
  const subscribe = (text: string) => receive({ id: '1', type: 'subscribe', text });
  const complete = () => receive({ id: '1', type: 'complete' });
  const first = subscribe('first');
  await complete();
  const queued: Promise<void>[] = [];
  for (let index = 0; index < 10; index += 1) {
    queued.push(subscribe('x'.repeat(100_000)));
    await complete();
  }
  await expect(subscribe('x'.repeat(100_000))).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  endFirst();
  await Promise.all([first, ...queued]);
  handled = 0;
  await subscribe('again');
  expect(handled).toBe(1);
  expect(operations.size).toBe(0);
  expect(inProgress).toBe(0);
});
