import { expect, test } from 'vitest';
import { connectLegacy, createCircle, createConversation } from '../../src/testing/index.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

const OFFER = { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } };
/** Longer than it takes until a client that does not reply to pings has left its call. */
const SILENCE_MS = 14_000;

test('the WebSockets of every socket.io-client reply to the pings of a call, and the apps see nothing of them', async () => {
  await using app = await startTestApp();
  await using stack = new AsyncDisposableStack();
  const ann = await app.createAccount();
  stack.use(await ann.connectLegacy());
  const accounts = await Promise.all(clientVersions.map(() => app.createAccount()));
  const circle = await createCircle(ann, ...accounts);
  const clients = await Promise.all(
    accounts.map(async (account, index) => {
      await createConversation(ann, circle, account);
      const io = loadClient(clientVersions[index] ?? '1.3.6') as never;
      const client = stack.use(await connectLegacy(app.url, { io }));
      await client.push('authenticate', { token: account.token });
      await client.push('webrtc_forward', { user_id: ann.legacyId, message: OFFER });
      return client;
    }),
  );
  await waitQuietPeriod(SILENCE_MS);
  const { calls } = await ann.graphql.run<{ calls: readonly object[] }>('{ calls { participants { id } } }');
  expect(calls).toHaveLength(accounts.length);
  expect(clients.flatMap((client) => client.pending())).toEqual([]);
});
