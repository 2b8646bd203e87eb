import { createClient as createStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { expect, test, vi } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { prepareServer } from '../harness/server.ts';
import { CONVERSATION, follow, openClient, TRANSPORTS } from './apps.ts';
import type { Followed } from './apps.ts';
import { CONVERSATION_ID, logIn, send } from './writer.ts';

const SOON = { retryDelay: () => 20 };
const PAYLOAD = { query: CONVERSATION, variables: { id: CONVERSATION_ID } };
const isLive = (followed: Followed) => () => followed.events.length > 0;

for (const transport of TRANSPORTS) {
  test(`${transport}: delivers messages sent during a network outage once, afterwards`, async () => {
    await using app = await startTestApp({ demo: true });
    await using network = await openTcpProxy(Number(new URL(app.url).port));
    const token = await logIn(app.url);
    const client = openClient(transport, `http://127.0.0.1:${network.port}`, token, SOON, {
      retryAttempts: 0,
    });
    const followed = follow(client, PAYLOAD);
    await followed.until(isLive(followed));
    const texts: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      network.refuse();
      texts.push(`cut ${round}`);
      await send(app.url, token, `cut ${round}`);
      network.accept();
      await followed.until(() => followed.texts().length === texts.length);
    }
    expect(followed.texts()).toEqual(texts);
    expect(followed.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
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
      { ...SOON, silenceTimeout: 1_000, onState: ({ status }) => void states.push(status) },
      { retryAttempts: 0 },
    );
    const followed = follow(client, PAYLOAD);
    await followed.until(isLive(followed));
    network.mute();
    await send(app.url, token, 'sent into silence');
    await vi.waitFor(() => expect(states).toEqual(['live', 'behind']), 10_000);
    network.unmute();
    await followed.until(() => followed.texts().length === 1, 20_000);
    await send(app.url, token, 'sent after it');
    await followed.until(() => followed.texts().length === 2);
    expect(followed.texts()).toEqual(['sent into silence', 'sent after it']);
    expect(states.slice(0, 3)).toEqual(['live', 'behind', 'live']);
    await client.dispose();
  }, 60_000);

  test(`${transport}: becomes live once the server starts, when the app started first`, async () => {
    await using program = await prepareServer({ AUTH_SECRET: 'of this test, and long enough for that' });
    await program.start();
    const token = await logIn(program.url);
    await program.stop('SIGTERM');
    const client = openClient(transport, program.url, token);
    const followed = follow(client, PAYLOAD);
    const results = client.iterate(PAYLOAD);
    const first = results.next();
    await program.start();
    await followed.until(isLive(followed), 30_000);
    expect((await first).value?.data).toMatchObject({ conversationEvents: { __typename: 'StreamLive' } });
    await client.dispose();
  }, 60_000);

  test(`${transport}: can be disposed while the server is down`, async () => {
    await using app = await startTestApp({ demo: true });
    await using network = await openTcpProxy(Number(new URL(app.url).port));
    const token = await logIn(app.url);
    const client = openClient(transport, `http://127.0.0.1:${network.port}`, token);
    const followed = follow(client, PAYLOAD);
    await followed.until(isLive(followed));
    network.refuse();
    await client.dispose();
    await followed.until(() => followed.end !== undefined);
    expect(followed.end).toEqual({});
  });

  test(`${transport}: ends the subscription without a retry when the token is rejected`, async () => {
    await using app = await startTestApp({ demo: true });
    const client = openClient(transport, app.url, 'eyJhbGciOiJIUzI1NiJ9.e30.nothing');
    const followed = follow(client, PAYLOAD);
    await followed.until(() => followed.end !== undefined, 15_000);
    expect(JSON.stringify(followed.end?.problem, ['code', 'extensions'])).toMatch(/4403|UNAUTHENTICATED/);
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
  const ponged = new Promise((resolve) => client.on('pong', resolve));
  const followed = follow(client, PAYLOAD);
  await followed.until(isLive(followed));
  await ponged;
  await send(app.url, token, 'once');
  await followed.until(() => followed.texts().length === 1);
  expect(states).toEqual(['live']);
  await client.dispose();
});

test('graphql-sse: resumes a quiet stream without the app noticing', async () => {
  await using app = await startTestApp({ demo: true });
  const token = await logIn(app.url);
  let connected = 0;
  const client = resumable(
    createStreamClient({
      url: `${app.url}/graphql`,
      headers: { authorization: `Bearer ${token}` },
      on: { connected: () => void (connected += 1) },
    }),
    { ...SOON, silenceTimeout: 300 },
  );
  const followed = follow(client, PAYLOAD);
  await vi.waitFor(() => expect(connected).toBeGreaterThan(3), 15_000);
  await send(app.url, token, 'once');
  await followed.until(() => followed.texts().length === 1);
  expect(followed.events).toHaveLength(2);
  client.dispose();
});
