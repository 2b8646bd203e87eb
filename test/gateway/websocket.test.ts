import { expect, test } from 'vitest';
import { testApp } from '../harness/app.ts';
import { testDatabase } from '../harness/database.ts';
import { rawSocket } from '../harness/raw-socket.ts';

test('what only a server may say closes with 4400', async () => {
  await using app = await testApp();
  await using socket = await rawSocket(app.url, {});
  socket.send({ type: 'next', id: '1', payload: {} });
  expect((await socket.closed()).code).toBe(4400);
});

test.each([{ token: 5 }, { authorization: { token: 'x' } }])(
  'a token that is no text, %o, closes with 4403',
  async (payload) => {
    await using app = await testApp();
    await using socket = await rawSocket(app.url);
    socket.send({ type: 'connection_init', payload });
    expect((await socket.closed()).code).toBe(4403);
  },
);

test('operations that bring a token of their own and share an id leave nobody online', async () => {
  const database = await testDatabase();
  await using app = await testApp({ database });
  const ann = await app.account();
  await using socket = await rawSocket(app.url, {});
  const query = 'subscription { inboxEvents { __typename } }';
  const extensions = { headers: { authorization: `Bearer ${ann.token}` } };
  for (let times = 0; times < 5; times += 1) {
    socket.send({ id: '1', type: 'subscribe', payload: { query, extensions } });
    socket.send({ id: '1', type: 'complete' });
  }
  socket.send({ id: '2', type: 'subscribe', payload: { query, extensions } });
  await socket.next(({ id, type }) => id === '2' && type === 'next');
  const leases = () => database.db.selectFrom('leases').select('id').where('closedAt', 'is', null).execute();
  await expect.poll(leases).toHaveLength(1);
  socket.send({ id: '2', type: 'complete' });
  await expect.poll(leases).toHaveLength(0);
});
