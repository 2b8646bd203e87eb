import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { openTcpProxy } from '../harness/tcp-proxy.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';
import { codeOf, openClient, subscribe, TRANSPORTS } from './subscriptions.ts';
import { EVENTS, openScriptedServer, TYPING } from './scripted-server.ts';
import type { Fault } from './scripted-server.ts';

const FAST_RETRY = { retryDelay: () => 1 };
const HOUR_MS = 3_600_000;
const TRANSIENT_ENDS = [
  { code: 'UNAVAILABLE', reason: 'DRAINING' },
  { code: 'UNAVAILABLE', reason: 'OPERATOR' },
  { code: 'LIMIT_EXCEEDED', reason: 'SLOW' },
  { code: 'UNAVAILABLE' },
  { code: 'RATE_LIMITED', retryAfterMs: 2 },
];
const FATAL_ENDS = [
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
/** Returns a fault with these extensions at either time. */
const faultsOf = (extensions: Readonly<Record<string, unknown>>): Fault[] => [
  { at: 'live', extensions },
  { at: 'start', extensions },
];

for (const transport of TRANSPORTS) {
  test(`${transport}: resumes a stream after a transient end, with each event once`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults(...TRANSIENT_ENDS.flatMap(faultsOf));
    const sent: string[] = [];
    const client = openClient(transport, server.url, '', {
      ...FAST_RETRY,
      onState({ status }) {
        if (status === 'live') return;
        sent.push(`m${sent.length}`);
        server.addText(`m${sent.length - 1}`);
      },
    });
    const subscription = subscribe(client, { query: EVENTS });
    await subscription.waitUntil(
      () => subscription.texts().length === TRANSIENT_ENDS.length && server.startCursors.length > 10,
    );
    server.addText('last');
    await subscription.waitUntil(() => subscription.texts().includes('last'));
    expect(subscription.texts()).toEqual([...sent, 'last']);
    expect(subscription.events.filter(({ __typename }) => __typename === 'StreamLive')).toHaveLength(1);
    expect(server.startCursors).toEqual([null, '0', '0', '1', '1', '2', '2', '3', '3', '4', '4']);
    await client.dispose();
  });

  test(`${transport}: restarts an ephemeral subscription after a transient end`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults(...TRANSIENT_ENDS.flatMap(faultsOf));
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const subscription = subscribe(client, { query: TYPING });
    await subscription.waitUntil(() => server.startCursors.length > 2 * TRANSIENT_ENDS.length);
    server.addText('after the faults');
    await subscription.waitUntil(() => subscription.texts().includes('after the faults'));
    await client.dispose();
  });

  test(`${transport}: waits for retryAfterMs when rate limited`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults({ at: 'start', extensions: { code: 'RATE_LIMITED', retryAfterMs: 300 } });
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const startedAt = performance.now();
    const subscription = subscribe(client, { query: EVENTS });
    await subscription.waitUntil(() => subscription.events.length === 1);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(300);
    await client.dispose();
  });

  for (const extensions of FATAL_ENDS) {
    const { code, reason = 'no reason' } = extensions;
    test(`${transport}: reports an end with ${reason} (${code}) to the app, once`, async () => {
      await using server = await openScriptedServer();
      const at = reason === 'no reason' ? 'start' : 'live';
      server.queueFaults({ at, extensions });
      const client = openClient(transport, server.url, '', FAST_RETRY);
      const subscription = subscribe(client, { query: EVENTS });
      await subscription.waitUntil(() => subscription.end !== undefined);
      expect(codeOf(subscription.end?.problem)).toBe(code);
      await vi.waitFor(() => expect(server.openStreamCount).toBe(0));
      expect(server.startCursors).toEqual([null]);
      await client.dispose();
    });
  }

  test(`${transport}: replaces an expired cursor by the one that the app queried`, async () => {
    await using server = await openScriptedServer();
    server.addText('m0');
    server.addText('m1');
    server.addText('m2');
    server.queueFaults({ at: 'start', extensions: { code: 'CURSOR_EXPIRED', oldest: '1' } });
    const expirations: unknown[] = [];
    const client = openClient(transport, server.url, '', {
      ...FAST_RETRY,
      async onExpired(expired) {
        expirations.push(expired);
        return '2';
      },
    });
    const payload = { query: EVENTS, variables: { after: '0' } };
    const subscription = subscribe(client, payload);
    await subscription.waitUntil(() => subscription.events.length === 2);
    expect(subscription.texts()).toEqual(['m2']);
    expect(expirations).toEqual([{ payload, code: 'CURSOR_EXPIRED', oldest: '1' }]);
    expect(payload.variables).toEqual({ after: '0' });
    expect(server.startCursors).toEqual(['0', '2']);
    await client.dispose();
  });

  test(`${transport}: ends the subscription when the app does not replace an expired cursor`, async () => {
    await using server = await openScriptedServer();
    const replacements = [undefined, () => undefined, () => null, () => '', () => Promise.resolve(null)];
    for (const onExpired of replacements) {
      server.queueFaults({ at: 'start', extensions: { code: 'CURSOR_INVALID' } });
      const client = openClient(
        transport,
        server.url,
        '',
        onExpired === undefined ? FAST_RETRY : { ...FAST_RETRY, onExpired },
      );
      const subscription = subscribe(client, { query: EVENTS, variables: { after: '0' } });
      await subscription.waitUntil(() => subscription.end !== undefined);
      expect(codeOf(subscription.end?.problem)).toBe('CURSOR_INVALID');
      await client.dispose();
    }
  });

  test(`${transport}: ends a subscription with the error thrown by onExpired, onState or a sink`, async () => {
    await using server = await openScriptedServer();
    const failure = new Error('Failure of the app.');
    const fail = (): never => {
      throw failure;
    };
    server.queueFaults({ at: 'start', extensions: { code: 'CURSOR_EXPIRED' } });
    for (const options of [{ onExpired: () => Promise.reject(failure) }, { onState: fail }]) {
      const client = openClient(transport, server.url, '', { ...FAST_RETRY, ...options });
      const subscription = subscribe(client, { query: EVENTS, variables: { after: '0' } });
      await subscription.waitUntil(() => subscription.end !== undefined);
      expect(subscription.end?.problem).toBe(failure);
      await client.dispose();
    }
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const problem = await new Promise((resolve) => {
      client.subscribe({ query: EVENTS }, { next: fail, error: resolve, complete: fail });
    });
    expect(problem).toBe(failure);
    const other = subscribe(client, { query: EVENTS });
    await other.waitUntil(() => other.events.length === 1);
    await client.dispose();
  });

  test(`${transport}: does nothing after disposal, whatever was in flight`, async () => {
    await using server = await openScriptedServer();
    const startTimer = vi.spyOn(globalThis, 'setTimeout');
    const stopTimer = vi.spyOn(globalThis, 'clearTimeout');
    onTestFinished(() => void vi.restoreAllMocks());
    const retryingClient = openClient(transport, server.url, '', { retryDelay: () => 2 * HOUR_MS });
    server.queueFaults({ at: 'start', extensions: { code: 'UNAVAILABLE' } });
    const retryingSubscription = subscribe(retryingClient, { query: EVENTS });
    const findRetryTimer = (): unknown =>
      startTimer.mock.results[startTimer.mock.calls.findIndex(([, ms = 0]) => ms > HOUR_MS)]?.value;
    const retryTimer = await vi.waitUntil(findRetryTimer);
    expect(server.startCursors).toHaveLength(1);

    const { promise: newCursor, resolve: resolveCursor } = Promise.withResolvers<string>();
    server.queueFaults({ at: 'start', extensions: { code: 'CURSOR_EXPIRED' } });
    const onExpired = vi.fn(() => newCursor);
    const renewingClient = openClient(transport, server.url, '', { ...FAST_RETRY, onExpired });
    const renewingSubscription = subscribe(renewingClient, { query: EVENTS, variables: { after: '0' } });
    await vi.waitFor(() => expect(onExpired).toHaveBeenCalledOnce());

    const readingClient = openClient(transport, server.url, '', FAST_RETRY);
    const results = readingClient.iterate({ query: EVENTS });
    await results.next();
    const pendingResult = results.next();
    for (const client of [retryingClient, renewingClient, readingClient]) await client.dispose();
    expect(stopTimer.mock.calls.flat()).toContain(retryTimer);
    resolveCursor('1');
    for (const subscription of [retryingSubscription, renewingSubscription])
      await subscription.waitUntil(() => subscription.end !== undefined);
    expect([retryingSubscription.end, renewingSubscription.end]).toEqual([{}, {}]);
    expect(await pendingResult).toEqual({ done: true, value: undefined });
    await vi.waitFor(() => expect(server.openStreamCount).toBe(0));
    await waitQuietPeriod(300);
    expect(server.startCursors).toHaveLength(3);
  });
}

test('graphql-sse: ends a stream that is rejected when the wrapped client reconnects', async () => {
  await using server = await openScriptedServer();
  await using network = await openTcpProxy(Number(new URL(server.url).port));
  const url = `http://127.0.0.1:${network.port}/graphql`;
  const client = resumable(createSseClient({ url, retry: async () => {} }), FAST_RETRY);
  const subscription = subscribe(client, { query: EVENTS });
  await subscription.waitUntil(() => subscription.events.length === 1);
  server.queueFaults({ at: 'start', extensions: { code: 'NOT_FOUND' } });
  network.disconnectAll();
  await subscription.waitUntil(() => subscription.end !== undefined);
  expect(codeOf(subscription.end?.problem)).toBe('NOT_FOUND');
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
    FAST_RETRY,
  );
  const subscription = subscribe(client, { query: EVENTS });
  await subscription.waitUntil(() => subscription.events.length === 1);
  const texts: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    for (const text of [`a${round}`, `b${round}`]) {
      texts.push(text);
      server.addText(text);
    }
    if (round % 2 === 0) await subscription.waitUntil(() => subscription.texts().length >= texts.length);
    client.terminate();
    await subscription.waitUntil(() => subscription.texts().length >= texts.length);
  }
  expect(subscription.texts()).toEqual(texts);
  await client.dispose();
});

for (const code of [1001, 1011, 1012, 1013, 4408, 4429, 4999]) {
  test(`graphql-ws: reconnects after a close with ${code}`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults({ at: 'live', close: code, reason: 'SLOW' });
    const client = openClient('graphql-ws', server.url, '', FAST_RETRY, { retryAttempts: 0 });
    const subscription = subscribe(client, { query: EVENTS });
    await vi.waitFor(() => expect(server.startCursors).toHaveLength(2), 5_000);
    server.addText('after the close');
    await subscription.waitUntil(() => subscription.texts().includes('after the close'));
    await client.dispose();
  });
}

for (const code of [4400, 4401, 4403, 4500]) {
  test(`graphql-ws: reports a close with ${code} to the app`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults({ at: 'live', close: code, reason: 'OVER' });
    const client = openClient('graphql-ws', server.url, '', FAST_RETRY, { retryAttempts: 0 });
    const subscription = subscribe(client, { query: EVENTS });
    await subscription.waitUntil(() => subscription.end !== undefined);
    expect(subscription.end?.problem).toMatchObject({ code });
    await client.dispose();
  });
}
