import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { expect, test, vi } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { prepareServer } from '../harness/server.ts';
import { CONVERSATION_EVENTS, openClient, subscribe, TRANSPORTS } from './subscriptions.ts';
import type { RecordedSubscription } from './subscriptions.ts';
import { CONVERSATION_ID, logIn, sendMessage } from '../harness/demo-server.ts';

const FAST_RETRY = { retryDelay: () => 20 };
const PAYLOAD = { query: CONVERSATION_EVENTS, variables: { id: CONVERSATION_ID } };
const isLive = (subscription: RecordedSubscription) => () => subscription.events.length > 0;

for (const transport of TRANSPORTS) {
  test(`${transport}: delivers messages sent during a network outage once, afterwards`, async () => {
    await using app = await startTestApp({ demo: true });
    await using network = await openTcpProxy(Number(new URL(app.url).port));
    const token = await logIn(app.url);
    const client = openClient(transport, `http://127.0.0.1:${network.port}`, token, FAST_RETRY, {
      retryAttempts: 0,
    });
    const subscription = subscribe(client, PAYLOAD);
    await subscription.waitUntil(isLive(subscription));
    const texts: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      network.refuse();
      texts.push(`outage ${round}`);
      await sendMessage(app.url, token, `outage ${round}`);
      network.accept();
      await subscription.waitUntil(() => subscription.texts().length === texts.length);
    }
    expect(subscription.texts()).toEqual(texts);
    expect(subscription.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    await client.dispose();
  });

  test(`${transport}: detects a silent network, also while reconnecting`, async () => {
    await using app = await startTestApp({ demo: true });
    await using network = await openTcpProxy(Number(new URL(app.url).port));
    const token = await logIn(app.url);
    const states: string[] = [];
    const client = openClient(
      transport,
      `http://127.0.0.1:${network.port}`,
      token,
      { ...FAST_RETRY, silenceTimeout: 1_000, onState: ({ status }) => void states.push(status) },
      { retryAttempts: 0 },
    );
    const subscription = subscribe(client, PAYLOAD);
    await subscription.waitUntil(isLive(subscription));
    network.mute();
    await sendMessage(app.url, token, 'sent while muted');
    await vi.waitFor(() => expect(states).toEqual(['live', 'behind']), 10_000);
    network.unmute();
    await subscription.waitUntil(() => subscription.texts().length === 1, 20_000);
    await sendMessage(app.url, token, 'sent afterwards');
    await subscription.waitUntil(() => subscription.texts().length === 2);
    expect(subscription.texts()).toEqual(['sent while muted', 'sent afterwards']);
    expect(states.slice(0, 3)).toEqual(['live', 'behind', 'live']);
    await client.dispose();
  }, 60_000);

  test(`${transport}: becomes live once the server starts, when the app started first`, async () => {
    await using server = await prepareServer({ AUTH_SECRET: 'of this test, and long enough for that' });
    await server.start();
    const token = await logIn(server.url);
    await server.stop('SIGTERM');
    const client = openClient(transport, server.url, token);
    const subscription = subscribe(client, PAYLOAD);
    const results = client.iterate(PAYLOAD);
    const firstResult = results.next();
    await server.start();
    await subscription.waitUntil(isLive(subscription), 30_000);
    expect((await firstResult).value?.data).toMatchObject({
      conversationEvents: { __typename: 'StreamLive' },
    });
    await client.dispose();
  }, 60_000);

  test(`${transport}: can be disposed while the server is down`, async () => {
    await using app = await startTestApp({ demo: true });
    await using network = await openTcpProxy(Number(new URL(app.url).port));
    const token = await logIn(app.url);
    const client = openClient(transport, `http://127.0.0.1:${network.port}`, token);
    const subscription = subscribe(client, PAYLOAD);
    await subscription.waitUntil(isLive(subscription));
    network.refuse();
    await client.dispose();
    await subscription.waitUntil(() => subscription.end !== undefined);
    expect(subscription.end).toEqual({});
  });

  test(`${transport}: ends the subscription without a retry when the token is rejected`, async () => {
    await using app = await startTestApp({ demo: true });
    const client = openClient(transport, app.url, 'eyJhbGciOiJIUzI1NiJ9.e30.nothing');
    const subscription = subscribe(client, PAYLOAD);
    await subscription.waitUntil(() => subscription.end !== undefined, 15_000);
    expect(JSON.stringify(subscription.end?.problem, ['code', 'extensions'])).toMatch(/4403|UNAUTHENTICATED/);
    await client.dispose();
  });
}

test('graphql-ws: keeps a quiet connection that replies to pings', async () => {
  await using app = await startTestApp({ demo: true });
  const token = await logIn(app.url);
  const states: string[] = [];
  const client = resumable(
    createClient({ url: `${app.url.replace('http', 'ws')}/graphql`, connectionParams: { token } }),
    { silenceTimeout: 3_000, onState: ({ status }) => void states.push(status) },
  );
  const pong = new Promise((resolve) => client.on('pong', resolve));
  const subscription = subscribe(client, PAYLOAD);
  await subscription.waitUntil(isLive(subscription));
  await pong;
  await sendMessage(app.url, token, 'once');
  await subscription.waitUntil(() => subscription.texts().length === 1);
  expect(states).toEqual(['live']);
  await client.dispose();
});

test('graphql-sse: resumes a quiet stream without the app noticing', async () => {
  await using app = await startTestApp({ demo: true });
  const token = await logIn(app.url);
  let connectionCount = 0;
  const client = resumable(
    createSseClient({
      url: `${app.url}/graphql`,
      headers: { authorization: `Bearer ${token}` },
      on: { connected: () => void (connectionCount += 1) },
    }),
    { ...FAST_RETRY, silenceTimeout: 300 },
  );
  const subscription = subscribe(client, PAYLOAD);
  await vi.waitFor(() => expect(connectionCount).toBeGreaterThan(3), 15_000);
  await sendMessage(app.url, token, 'once');
  await subscription.waitUntil(() => subscription.texts().length === 1);
  expect(subscription.events).toHaveLength(2);
  client.dispose();
});
