import { expect, test, vi } from 'vitest';
import { openClient, subscribe, TRANSPORTS } from './subscriptions.ts';
import type { Payload } from './subscriptions.ts';
import { openScriptedServer } from './scripted-server.ts';

const FAST_RETRY = { retryDelay: () => 1 };
const SLOW_CONSUMER = { at: 'live', extensions: { code: 'LIMIT_EXCEEDED', reason: 'SLOW' } } as const;

const EVENT = '__typename cursor ... on TextAdded { text }';
/** Equivalent durable subscriptions in different notations. */
const DURABLE: Readonly<Record<string, Payload>> = {
  'no operation name': { query: `subscription($after:Cursor){events(after:$after){${EVENT}}}` },
  'another variable name': {
    query: `subscription S($since: Cursor) { events(after: $since) { ${EVENT} } }`,
  },
  'a default value of the variable': {
    query: `subscription S($after: Cursor = null) { events(after: $after) { ${EVENT} } }`,
  },
  'several operations, of which one is selected': {
    query: `query Q { ok } subscription Other($after: Cursor) { events(after: $after) { __typename } }
      subscription S($from: Cursor) { events(after: $from) { ${EVENT} } }`,
    operationName: 'S',
  },
  'aliases for all fields': {
    query: `subscription ($after: Cursor) { e: events(after: $after) { kind: __typename at: cursor ... on TextAdded { text } } }`,
  },
  'a fragment': {
    query: `fragment F on Event { __typename ...G } subscription ($after: Cursor) { events(after: $after) { ...F } }
      fragment G on Event { cursor ... on TextAdded { text } }`,
  },
  'fragments for each type': {
    query: `subscription ($after: Cursor) { events(after: $after) { __typename
      ... on StreamLive { cursor } ... on TextAdded { cursor text } } }`,
  },
  'a root field in a fragment': {
    query: `subscription ($after: Cursor) { ...Root } fragment Root on Subscription { events(after: $after) { ${EVENT} } }`,
  },
  'comments and strings that look like code': {
    query: `# query { a(b: "
      subscription ($n: String = """ \\""" $no: Cursor) { """, $after: Cursor # ) {
      , $m: Boolean! = true) { events(note: $n, after: $after) { ${EVENT} # }
        a: __typename @include(if: $m) ... @skip(if: false) { b: __typename } } }`,
  },
  'a string before the cursor': {
    query: `subscription ($after: Cursor) { events(note: "} \\" $after {", after: $after) { ${EVENT} } }`,
  },
  'a keyword as its name': {
    query: `subscription subscription($on: Cursor) { events(after: $on) { ${EVENT} } }`,
  },
};

for (const transport of TRANSPORTS) {
  for (const [notation, payload] of Object.entries(DURABLE)) {
    test(`${transport}: resumes a subscription written with ${notation}`, async () => {
      await using server = await openScriptedServer();
      server.queueFaults(SLOW_CONSUMER, SLOW_CONSUMER);
      const states: unknown[] = [];
      const client = openClient(transport, server.url, '', {
        ...FAST_RETRY,
        onState: ({ status, cursor }) => void states.push([status, cursor]),
      });
      const subscription = subscribe(client, payload);
      await vi.waitFor(() => expect(server.startCursors).toEqual([null, '0', '0']));
      server.addText('m1');
      await subscription.waitUntil(() => subscription.texts().includes('m1'));
      expect(subscription.events).toHaveLength(2);
      expect(states.at(-1)).toEqual(['live', '0']);
      expect(states).toHaveLength(5);
      await client.dispose();
    });
  }

  test(`${transport}: resumes a persisted operation, sent without a document, after its newest cursor`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults(SLOW_CONSUMER, SLOW_CONSUMER);
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const subscription = subscribe(client, { query: '', variables: { after: null } });
    await vi.waitFor(() => expect(server.startCursors).toEqual([null, '0', '0']));
    server.addText('m1');
    await subscription.waitUntil(() => subscription.texts().includes('m1'));
    expect(subscription.events).toHaveLength(2);
    await client.dispose();
  });

  test(`${transport}: does not retry a persisted operation before its first cursor: it could be a mutation`, async () => {
    await using server = await openScriptedServer();
    server.queueFaults({ at: 'start', extensions: { code: 'UNAVAILABLE' } });
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const subscription = subscribe(client, { query: '', variables: { after: '7' } });
    await subscription.waitUntil(() => subscription.end !== undefined);
    expect(JSON.stringify(subscription.end, messageOf)).toContain('Injected fault.');
    expect(server.startCursors).toEqual(['7']);
    await client.dispose();
  });

  test(`${transport}: accepts another name for the variable of a persisted operation`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...FAST_RETRY, cursorVariable: 'since' });
    server.queueFaults(SLOW_CONSUMER);
    subscribe(client, { query: '', variables: { since: '' } });
    await vi.waitFor(() => expect(server.variables.at(-1)).toEqual({ since: '0' }));
    expect(server.variables[0]).toEqual({});
    await client.dispose();
  });

  test(`${transport}: treats an empty cursor as absent`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '');
    const subscription = subscribe(client, {
      query: `subscription ($after: Cursor) { events(after: $after) { ${EVENT} } }`,
      variables: { after: '' },
    });
    await subscription.waitUntil(() => subscription.events.length === 1);
    expect(server.startCursors).toEqual([null]);
    await client.dispose();
  });

  test(`${transport}: rejects a durable subscription that selects no cursor, with an explanation`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '');
    const payload = { query: 'subscription ($after: Cursor) { events(after: $after) { __typename } }' };
    const subscription = subscribe(client, payload);
    await subscription.waitUntil(() => subscription.end !== undefined);
    expect(subscription.end?.problem).toMatchObject({
      message: expect.stringContaining('selects no `cursor`') as string,
    });
    await expect(client.iterate(payload).next()).rejects.toThrow('selects no `cursor`');
    expect(server.startCursors).toEqual([]);
    await client.dispose();
  });

  test(`${transport}: ends a durable subscription with an error on an event without a cursor`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const subscription = subscribe(client, {
      query: 'subscription ($after: Cursor) { events(after: $after) { ... on TextAdded { cursor text } } }',
    });
    await subscription.waitUntil(() => subscription.end !== undefined);
    expect(subscription.end?.problem).toMatchObject({
      message: expect.stringContaining('selects no `cursor`') as string,
    });
    expect(server.startCursors).toHaveLength(1);
    await client.dispose();
  });

  test(`${transport}: passes queries and their errors through`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', FAST_RETRY);
    const run = (query: string) =>
      new Promise((resolve) => {
        const received: unknown[] = [];
        const finish = (problem?: unknown) => resolve(problem ?? received);
        client.subscribe(
          { query },
          { next: (result) => void received.push(result), error: finish, complete: finish },
        );
      });
    expect(await run('query Q { ok }')).toEqual([{ data: { ok: null } }]);
    const errors = JSON.stringify(await run('{ nothing }'));
    expect(errors).toContain('Cannot query field');
    const results = client.iterate({ query: '{ ok }' });
    expect((await results.next()).value).toEqual({ data: { ok: null } });
    expect((await results.next()).done).toBe(true);
    await client.dispose();
  });
}

/** Replaces an error by its message: JSON.stringify writes errors as `{}`. */
const messageOf = (_key: string, value: unknown): unknown => (value instanceof Error ? value.message : value);
