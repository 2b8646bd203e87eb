import { createClient as createStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { quietPeriod } from '../harness/waiting.ts';
import { codeOf, follow, openClient, TRANSPORTS } from './apps.ts';
import { EVENTS, openScriptedServer, TYPING } from './scripted-server.ts';
import type { Fault } from './scripted-server.ts';

const SOON = { retryDelay: () => 1 };
const PASSING = [
  { code: 'UNAVAILABLE', reason: 'DRAINING' },
  { code: 'UNAVAILABLE', reason: 'OPERATOR' },
  { code: 'LIMIT_EXCEEDED', reason: 'SLOW' },
  { code: 'UNAVAILABLE' },
  { code: 'RATE_LIMITED', retryAfterMs: 2 },
];
const FATAL = [
  { code: 'FORBIDDEN', reason: 'LEFT' },
  { code: 'FORBIDDEN', reason: 'KICKED' },
  { code: 'FORBIDDEN', reason: 'ACCESS_REMOVED' },
  { code: 'NOT_FOUND', reason: 'DELETED' },
  { code: 'UNAUTHENTICATED', reason: 'LOGGED_OUT' },
  { code: 'UNAUTHENTICATED', reason: 'TOKEN_EXPIRED' },
  { code: 'UNAUTHENTICATED', reason: 'ACCOUNT_DELETED' },
  { code: 'INVALID_INPUT' },
  { code: 'NOT_FOUND' },
];
const eachEnd = (extensions: Readonly<Record<string, unknown>>): Fault[] => [
  { at: 'live', extensions },
  { at: 'start', extensions },
];

for (const transport of TRANSPORTS) {
  test(`${transport}: resumes a stream after a transient end, with each event once`, async () => {
    await using server = await openScriptedServer();
    server.plan(...PASSING.flatMap(eachEnd));
    const sent: string[] = [];
    const client = openClient(transport, server.url, '', {
      ...SOON,
      onState({ status }) {
        if (status === 'live') return;
        sent.push(`m${sent.length}`);
        server.say(`m${sent.length - 1}`);
      },
    });
    const followed = follow(client, { query: EVENTS });
    await followed.until(() => followed.texts().length === PASSING.length && server.begun.length > 10);
    server.say('the last one');
    await followed.until(() => followed.texts().includes('the last one'));
    expect(followed.texts()).toEqual([...sent, 'the last one']);
    expect(followed.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    expect(server.begun).toEqual([null, '0', '0', '1', '1', '2', '2', '3', '3', '4', '4']);
    await client.dispose();
  });

  test(`${transport}: restarts an ephemeral subscription after a transient end`, async () => {
    await using server = await openScriptedServer();
    server.plan(...PASSING.flatMap(eachEnd));
    const client = openClient(transport, server.url, '', SOON);
    const followed = follow(client, { query: TYPING });
    await followed.until(() => server.begun.length > 2 * PASSING.length);
    server.say('still there');
    await followed.until(() => followed.texts().includes('still there'));
    await client.dispose();
  });

  test(`${transport}: waits for retryAfterMs when rate limited`, async () => {
    await using server = await openScriptedServer();
    server.plan({ at: 'start', extensions: { code: 'RATE_LIMITED', retryAfterMs: 300 } });
    const client = openClient(transport, server.url, '', SOON);
    const startedAt = performance.now();
    const followed = follow(client, { query: EVENTS });
    await followed.until(() => followed.events.length === 1);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(300);
    await client.dispose();
  });

  for (const extensions of FATAL) {
    const { code, reason = 'a refusal' } = extensions;
    test(`${transport}: reports an end with ${reason} (${code}) to the app, once`, async () => {
      await using server = await openScriptedServer();
      const at = reason === 'a refusal' ? 'start' : 'live';
      server.plan({ at, extensions });
      const client = openClient(transport, server.url, '', SOON);
      const followed = follow(client, { query: EVENTS });
      await followed.until(() => followed.end !== undefined);
      expect(codeOf(followed.end?.problem)).toBe(code);
      await vi.waitFor(() => expect(server.open).toBe(0));
      expect(server.begun).toEqual([null]);
      await client.dispose();
    });
  }

  test(`${transport}: replaces an expired cursor by the one that the app queried`, async () => {
    await using server = await openScriptedServer();
    server.say('m0');
    server.say('m1');
    server.say('m2');
    server.plan({ at: 'start', extensions: { code: 'CURSOR_EXPIRED', oldest: '1' } });
    const expirations: unknown[] = [];
    const client = openClient(transport, server.url, '', {
      ...SOON,
      async onExpired(expired) {
        expirations.push(expired);
        return '2';
      },
    });
    const payload = { query: EVENTS, variables: { after: '0' } };
    const followed = follow(client, payload);
    await followed.until(() => followed.events.length === 2);
    expect(followed.texts()).toEqual(['m2']);
    expect(expirations).toEqual([{ payload, code: 'CURSOR_EXPIRED', oldest: '1' }]);
    expect(payload.variables).toEqual({ after: '0' });
    expect(server.begun).toEqual(['0', '2']);
    await client.dispose();
  });

  test(`${transport}: ends the subscription when the app does not replace an expired cursor`, async () => {
    await using server = await openScriptedServer();
    const replacements = [undefined, () => undefined, () => null, () => '', () => Promise.resolve(null)];
    for (const onExpired of replacements) {
      server.plan({ at: 'start', extensions: { code: 'CURSOR_INVALID' } });
      const client = openClient(
        transport,
        server.url,
        '',
        onExpired === undefined ? SOON : { ...SOON, onExpired },
      );
      const followed = follow(client, { query: EVENTS, variables: { after: '0' } });
      await followed.until(() => followed.end !== undefined);
      expect(codeOf(followed.end?.problem)).toBe('CURSOR_INVALID');
      await client.dispose();
    }
  });

  test(`${transport}: ends a subscription with the error thrown by onExpired, onState or a sink`, async () => {
    await using server = await openScriptedServer();
    const failure = new Error('of the app');
    const fail = (): never => {
      throw failure;
    };
    server.plan({ at: 'start', extensions: { code: 'CURSOR_EXPIRED' } });
    for (const options of [{ onExpired: () => Promise.reject(failure) }, { onState: fail }]) {
      const client = openClient(transport, server.url, '', { ...SOON, ...options });
      const followed = follow(client, { query: EVENTS, variables: { after: '0' } });
      await followed.until(() => followed.end !== undefined);
      expect(followed.end?.problem).toBe(failure);
      await client.dispose();
    }
    const client = openClient(transport, server.url, '', SOON);
    const problem = await new Promise((resolve) => {
      client.subscribe({ query: EVENTS }, { next: fail, error: resolve, complete: fail });
    });
    expect(problem).toBe(failure);
    const other = follow(client, { query: EVENTS });
    await other.until(() => other.events.length === 1);
    await client.dispose();
  });

  test(`${transport}: does nothing after disposal, whatever was in flight`, async () => {
    await using server = await openScriptedServer();
    const waiting = openClient(transport, server.url, '', { retryDelay: () => 200 });
    server.plan({ at: 'start', extensions: { code: 'UNAVAILABLE' } });
    const first = follow(waiting, { query: EVENTS });
    await vi.waitFor(() => expect(server.begun).toHaveLength(1));

    const { promise: queried, resolve: answer } = Promise.withResolvers<string>();
    server.plan({ at: 'start', extensions: { code: 'CURSOR_EXPIRED' } });
    const onExpired = vi.fn(() => queried);
    const querying = openClient(transport, server.url, '', { ...SOON, onExpired });
    const second = follow(querying, { query: EVENTS, variables: { after: '0' } });
    await vi.waitFor(() => expect(onExpired).toHaveBeenCalledOnce());

    const reading = openClient(transport, server.url, '', SOON);
    const results = reading.iterate({ query: EVENTS });
    await results.next();
    const next = results.next();
    for (const client of [waiting, querying, reading]) await client.dispose();
    answer('1');
    for (const followed of [first, second]) await followed.until(() => followed.end !== undefined);
    expect([first.end, second.end]).toEqual([{}, {}]);
    expect(await next).toEqual({ done: true, value: undefined });
    await vi.waitFor(() => expect(server.open).toBe(0));
    await quietPeriod(300);
    expect(server.begun).toHaveLength(3);
  });
}

test('graphql-sse: ends a stream that is rejected when the wrapped client reconnects', async () => {
  await using server = await openScriptedServer();
  await using network = await openTcpProxy(Number(new URL(server.url).port));
  const url = `http://127.0.0.1:${network.port}/graphql`;
  const client = resumable(createStreamClient({ url, retry: async () => {} }), SOON);
  const followed = follow(client, { query: EVENTS });
  await followed.until(() => followed.events.length === 1);
  server.plan({ at: 'start', extensions: { code: 'NOT_FOUND' } });
  network.disconnectAll();
  await followed.until(() => followed.end !== undefined);
  expect(codeOf(followed.end?.problem)).toBe('NOT_FOUND');
  client.dispose();
});

test('graphql-ws: an app may terminate a connection while results are in flight', async () => {
  await using server = await openScriptedServer();
  const client = resumable(
    createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryWait: async () => {},
    }),
    SOON,
  );
  const followed = follow(client, { query: EVENTS });
  await followed.until(() => followed.events.length === 1);
  const texts: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    for (const text of [`a${round}`, `b${round}`]) {
      texts.push(text);
      server.say(text);
    }
    if (round % 2 === 0) await followed.until(() => followed.texts().length >= texts.length);
    client.terminate();
    await followed.until(() => followed.texts().length >= texts.length);
  }
  expect(followed.texts()).toEqual(texts);
  await client.dispose();
});

for (const code of [1001, 1011, 1012, 1013, 4408, 4429, 4999]) {
  test(`graphql-ws: reconnects after a close with ${code}`, async () => {
    await using server = await openScriptedServer();
    server.plan({ at: 'live', close: code, reason: 'SLOW' });
    const client = openClient('graphql-ws', server.url, '', SOON, { retryAttempts: 0 });
    const followed = follow(client, { query: EVENTS });
    await vi.waitFor(() => expect(server.begun).toHaveLength(2), 5_000);
    server.say('again');
    await followed.until(() => followed.texts().includes('again'));
    await client.dispose();
  });
}

for (const code of [4400, 4401, 4403, 4500]) {
  test(`graphql-ws: reports a close with ${code} to the app`, async () => {
    await using server = await openScriptedServer();
    server.plan({ at: 'live', close: code, reason: 'OVER' });
    const client = openClient('graphql-ws', server.url, '', SOON, { retryAttempts: 0 });
    const followed = follow(client, { query: EVENTS });
    await followed.until(() => followed.end !== undefined);
    expect(followed.end?.problem).toMatchObject({ code });
    await client.dispose();
  });
}
