import { expect, test, vi } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startServer } from '../harness/server.ts';
import { CONVERSATION, follow, openClient, TRANSPORTS } from './apps.ts';
import { CONVERSATION_ID, logIn, startWriter } from './writer.ts';

const TYPING = 'subscription ($id: ID!) { typing(conversationId: $id) { isTyping } }';
const SET_TYPING = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';

test('delivers each event once and in order through ten restarts and crashes', async () => {
  await using program = await startServer();
  const token = await logIn(program.url);
  const apps = TRANSPORTS.map((transport) => {
    const client = openClient(transport, program.url, token);
    const payload = { query: CONVERSATION, variables: { id: CONVERSATION_ID } };
    return { client, followed: follow(client, payload) };
  });
  const all = apps.map(({ followed }) => followed);
  await Promise.all(all.map((followed) => followed.until(() => followed.events.length > 0)));

  const writer = startWriter(program.url, token);
  for (let round = 0; round < 10; round += 1) {
    const target = writer.sent.length + 10;
    await Promise.all(all.map((followed) => followed.until(() => followed.texts().length >= target, 30_000)));
    await program.stop(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await program.start();
  }
  await writer.stop();
  for (const followed of all) {
    await followed.until(() => followed.texts().length >= writer.sent.length, 30_000);
    expect(followed.texts()).toEqual(writer.sent);
    expect(followed.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    expect(followed.end).toBeUndefined();
  }
  for (const { client } of apps) await client.dispose();
}, 240_000);

test('restarts a typing subscription after a server restart', { timeout: 60_000 }, async () => {
  await using program = await startServer();
  const token = await logIn(program.url);
  await using other = createGraphqlClient(program.url, await logIn(program.url, 'bob@example.com'));
  const apps = TRANSPORTS.map((transport) => {
    const client = openClient(transport, program.url, token);
    return { client, followed: follow(client, { query: TYPING, variables: { id: CONVERSATION_ID } }) };
  });
  /** Sends typing until all have received it: ephemeral subscriptions do not signal their start. */
  const typeUntilHeard = async (): Promise<void> => {
    const counts = apps.map(({ followed }) => followed.events.length);
    await vi.waitFor(
      async () => {
        for (const isTyping of [true, false])
          await other.run(SET_TYPING, { id: CONVERSATION_ID, is: isTyping }).catch(() => undefined);
        apps.forEach(({ followed }, index) =>
          expect(followed.events.length).toBeGreaterThan(counts[index] ?? 0),
        );
      },
      { timeout: 25_000, interval: 100 },
    );
  };
  await typeUntilHeard();
  await program.stop('SIGTERM');
  await program.start();
  await typeUntilHeard();
  for (const { client } of apps) await client.dispose();
});
