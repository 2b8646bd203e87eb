import { expect, test, vi } from 'vitest';
import { openClient, TRANSPORTS } from './subscriptions.ts';
import type { Event, Result } from './subscriptions.ts';
import { EVENTS, openScriptedServer, TYPING } from './scripted-server.ts';

const FAST_RETRY = { retryDelay: () => 1 };
const eventOf = ({ data }: Result): Event => Object.values(data ?? {})[0] as Event;
const createLargeTexts = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index} ${'x'.repeat(1_000)}`);

for (const transport of TRANSPORTS) {
  test(`${transport}: delivers every event to a slow reader, buffered in the log of the server`, async () => {
    await using server = await openScriptedServer();
    const states: string[] = [];
    const client = openClient(transport, server.url, '', {
      ...FAST_RETRY,
      maxBufferedBytes: 20_000,
      onState: ({ status }) => void states.push(status),
    });
    const results = client.iterate({ query: EVENTS });
    await results.next();
    const texts = createLargeTexts(100);
    for (const text of texts) server.addText(text);
    // It stops reading when its buffer is full.
    await vi.waitFor(() => expect([server.openStreamCount, states]).toEqual([0, ['live', 'behind']]));
    const received: (string | undefined)[] = [];
    for await (const result of results) {
      received.push(eventOf(result).text);
      if (received.length === texts.length) break;
    }
    expect(received).toEqual(texts);
    expect(server.startCursors.length).toBeGreaterThan(1);
    await vi.waitFor(() => expect(server.openStreamCount).toBe(0));
    await client.dispose();
  });

  test(`${transport}: delivers a single result that is larger than the buffer`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...FAST_RETRY, maxBufferedBytes: 10 });
    const results = client.iterate({ query: EVENTS });
    await results.next();
    for (const text of createLargeTexts(3)) server.addText(text);
    for (const text of createLargeTexts(3))
      expect(eventOf((await results.next()).value as Result).text).toBe(text);
    await results.return?.();
    expect(await results.next()).toEqual({ done: true, value: undefined });
    await client.dispose();
  });

  test(`${transport}: fails for a slow reader of an ephemeral subscription, after the buffered results`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...FAST_RETRY, maxBufferedBytes: 20_000 });
    const results = client.iterate({ query: TYPING });
    await results.next();
    for (const text of createLargeTexts(100)) server.addText(text);
    await vi.waitFor(() => expect(server.openStreamCount).toBe(0));
    const received: (string | undefined)[] = [];
    const readAll = async () => {
      for await (const result of results) received.push(eventOf(result).text);
    };
    await expect(readAll()).rejects.toThrow('fell too far behind');
    expect(received.length).toBeGreaterThan(1);
    expect(received).toEqual(createLargeTexts(100).slice(0, received.length));
    await client.dispose();
  });

  test(`${transport}: throws a fatal error once, after the results before it`, async () => {
    await using server = await openScriptedServer();
    server.addText('m0');
    server.queueFaults({ at: 'live', extensions: { code: 'FORBIDDEN', reason: 'KICKED' } });
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const results = client.iterate({ query: EVENTS, variables: { after: '0' } });
    await vi.waitFor(() => expect([server.startCursors.length, server.openStreamCount]).toEqual([1, 0]));
    expect(eventOf((await results.next()).value as Result).text).toBe('m0');
    expect(eventOf((await results.next()).value as Result).__typename).toBe('StreamLive');
    await expect(results.next()).rejects.toMatchObject([{ extensions: { reason: 'KICKED' } }]);
    expect(await results.next()).toEqual({ done: true, value: undefined });
    await client.dispose();
  });

  test(`${transport}: completes a pending read when the reader stops`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const results = client.iterate({ query: EVENTS });
    await results.next();
    const pending = [results.next(), results.next()];
    await results.return?.();
    expect(await Promise.all(pending)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    await vi.waitFor(() => expect(server.openStreamCount).toBe(0));
    await client.dispose();
  });
}
