import { expect, test, vi } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startServer } from '../harness/server.ts';
import { CONVERSATION_EVENTS, openClient, subscribe, TRANSPORTS } from './subscriptions.ts';
import { CONVERSATION_ID, logIn, openWriter } from '../harness/demo-server.ts';

// Runs the client against the real program, which is stopped and killed repeatedly.

const TYPING = 'subscription ($id: ID!) { typing(conversationId: $id) { isTyping } }';
const SET_TYPING = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';

test('delivers each event once and in order through ten restarts and crashes', async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  const readers = TRANSPORTS.map((transport) => {
    const client = openClient(transport, server.url, token);
    const payload = { query: CONVERSATION_EVENTS, variables: { id: CONVERSATION_ID } };
    return { client, subscription: subscribe(client, payload) };
  });
  const subscriptions = readers.map(({ subscription }) => subscription);
  await Promise.all(
    subscriptions.map((subscription) => subscription.waitUntil(() => subscription.events.length > 0)),
  );

  const writer = openWriter(server.url, token);
  for (let round = 0; round < 10; round += 1) {
    const target = writer.sent.length + 10;
    await Promise.all(
      subscriptions.map((subscription) =>
        subscription.waitUntil(() => subscription.texts().length >= target, 30_000),
      ),
    );
    await server.stop(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  await writer.stop();
  for (const subscription of subscriptions) {
    await subscription.waitUntil(() => subscription.texts().length >= writer.sent.length, 30_000);
    expect(subscription.texts()).toEqual(writer.sent);
    expect(subscription.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    expect(subscription.end).toBeUndefined();
  }
  for (const { client } of readers) await client.dispose();
}, 240_000);

test('restarts a typing subscription after a server restart', { timeout: 60_000 }, async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  await using other = createGraphqlClient(server.url, await logIn(server.url, 'bob@example.com'));
  const readers = TRANSPORTS.map((transport) => {
    const client = openClient(transport, server.url, token);
    return { client, subscription: subscribe(client, { query: TYPING, variables: { id: CONVERSATION_ID } }) };
  });
  /** Sends typing until all have received it: ephemeral subscriptions do not signal their start. */
  const typeUntilReceived = async (): Promise<void> => {
    const counts = readers.map(({ subscription }) => subscription.events.length);
    await vi.waitFor(
      async () => {
        for (const isTyping of [true, false])
          await other.run(SET_TYPING, { id: CONVERSATION_ID, is: isTyping }).catch(() => undefined);
        readers.forEach(({ subscription }, index) =>
          expect(subscription.events.length).toBeGreaterThan(counts[index] ?? 0),
        );
      },
      { timeout: 25_000, interval: 100 },
    );
  };
  await typeUntilReceived();
  await server.stop('SIGTERM');
  await server.start();
  await typeUntilReceived();
  for (const { client } of readers) await client.dispose();
});
