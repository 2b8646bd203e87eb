import { expect, test, vi } from 'vitest';
import { openClient, TRANSPORTS } from './apps.ts';
import type { Event, Result } from './apps.ts';
import { EVENTS, openScriptedServer, TYPING } from './scripted-server.ts';

const SOON = { retryDelay: () => 1 };
const eventOf = ({ data }: Result): Event => Object.values(data ?? {})[0] as Event;
const bigTexts = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index} ${'x'.repeat(1_000)}`);

for (const transport of TRANSPORTS) {
  test(`${transport}: delivers everything to a slow reader, with the log of the server as its buffer`, async () => {
    await using server = await openScriptedServer();
    const states: string[] = [];
    const client = openClient(transport, server.url, '', {
      ...SOON,
      maxBufferedBytes: 20_000,
      onState: ({ status }) => void states.push(status),
    });
    const results = client.iterate({ query: EVENTS });
    await results.next();
    const texts = bigTexts(100);
    for (const text of texts) server.say(text);
    // It stops reading when its buffer is full.
    await vi.waitFor(() => expect([server.open, states]).toEqual([0, ['live', 'behind']]));
    const got: (string | undefined)[] = [];
    for await (const result of results) {
      got.push(eventOf(result).text);
      if (got.length === texts.length) break;
    }
    expect(got).toEqual(texts);
    expect(server.begun.length).toBeGreaterThan(1);
    await vi.waitFor(() => expect(server.open).toBe(0));
    await client.dispose();
  });

  test(`${transport}: delivers a single result that is larger than the buffer`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...SOON, maxBufferedBytes: 10 });
    const results = client.iterate({ query: EVENTS });
    await results.next();
    for (const text of bigTexts(3)) server.say(text);
    for (const text of bigTexts(3)) expect(eventOf((await results.next()).value as Result).text).toBe(text);
    await results.return?.();
    expect(await results.next()).toEqual({ done: true, value: undefined });
    await client.dispose();
  });

  test(`${transport}: fails for a slow reader of an ephemeral subscription, after the buffered results`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...SOON, maxBufferedBytes: 20_000 });
    const results = client.iterate({ query: TYPING });
    await results.next();
    for (const text of bigTexts(100)) server.say(text);
    await vi.waitFor(() => expect(server.open).toBe(0));
    const got: (string | undefined)[] = [];
    const reading = async () => {
      for await (const result of results) got.push(eventOf(result).text);
    };
    await expect(reading()).rejects.toThrow('fell too far behind');
    expect(got.length).toBeGreaterThan(1);
    expect(got).toEqual(bigTexts(100).slice(0, got.length));
    await client.dispose();
  });

  test(`${transport}: throws a fatal error once, after the results before it`, async () => {
    await using server = await openScriptedServer();
    server.say('m0');
    server.plan({ at: 'live', extensions: { code: 'FORBIDDEN', reason: 'KICKED' } });
    const client = openClient(transport, server.url, '', SOON);
    const results = client.iterate({ query: EVENTS, variables: { after: '0' } });
    await vi.waitFor(() => expect([server.begun.length, server.open]).toEqual([1, 0]));
    expect(eventOf((await results.next()).value as Result).text).toBe('m0');
    expect(eventOf((await results.next()).value as Result).__typename).toBe('StreamLive');
    await expect(results.next()).rejects.toMatchObject([{ extensions: { reason: 'KICKED' } }]);
    expect(await results.next()).toEqual({ done: true, value: undefined });
    await client.dispose();
  });

  test(`${transport}: completes a pending read when the reader stops`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', SOON);
    const results = client.iterate({ query: EVENTS });
    await results.next();
    const waiting = [results.next(), results.next()];
    await results.return?.();
    expect(await Promise.all(waiting)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    await vi.waitFor(() => expect(server.open).toBe(0));
    await client.dispose();
  });
}
