import { expect, test, vi } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startServer } from '../harness/server.ts';
import { CONVERSATION_EVENTS, openClient, subscribe, TRANSPORTS } from './subscriptions.ts';
import { CONVERSATION_ID, logIn, openWriter } from '../harness/demo-server.ts';

// Runs the client against the real program, which is stopped and killed repeatedly.

const TYPING = 'subscription ($id: ID!) { typing(conversationId: $id) { isTyping } }';
/** As docs/delivery.md recommends: graphql-ws itself would wait about as long as an outage lasted. */
const RETRIED_BY_PARLEY = { retryAttempts: 0 };
/** Bounds waits that end in a failure: a restart takes long on a busy machine, and a client then waits up to 30 s. */
const TIMEOUT_MS = 90_000;
const SET_TYPING = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';

test('delivers each event once and in order through ten restarts and crashes', async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  const readers = TRANSPORTS.map((transport) => {
    const client = openClient(transport, server.url, token, {}, RETRIED_BY_PARLEY);
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
        subscription.waitUntil(() => subscription.texts().length >= target, TIMEOUT_MS),
      ),
    );
    await server.stop(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  await writer.stop();
  for (const subscription of subscriptions) {
    await subscription.waitUntil(() => subscription.texts().length >= writer.sent.length, TIMEOUT_MS);
    expect(subscription.texts()).toEqual(writer.sent);
    expect(subscription.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    expect(subscription.end).toBeUndefined();
  }
  for (const { client } of readers) await client.dispose();
}, 600_000);

test('restarts a typing subscription after a server restart', { timeout: 240_000 }, async () => {
  await using server = await startServer();
  const token = await logIn(server.url);
  await using other = createGraphqlClient(server.url, await logIn(server.url, 'bob@example.com'));
  const readers = TRANSPORTS.map((transport) => {
    const client = openClient(transport, server.url, token, {}, RETRIED_BY_PARLEY);
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
      { timeout: TIMEOUT_MS, interval: 100 },
    );
  };
  await typeUntilReceived();
  await server.stop('SIGTERM');
  await server.start();
  await typeUntilReceived();
  for (const { client } of readers) await client.dispose();
});
