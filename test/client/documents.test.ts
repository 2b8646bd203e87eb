import { expect, test, vi } from 'vitest';
import { follow, openClient, TRANSPORTS } from './apps.ts';
import type { Payload } from './apps.ts';
import { openScriptedServer } from './scripted-server.ts';

const SOON = { retryDelay: () => 1 };
const SLOW = { at: 'live', extensions: { code: 'LIMIT_EXCEEDED', reason: 'SLOW' } } as const;

const EVENT = '__typename cursor ... on TextAdded { text }';
/** Durable subscriptions in different notations. */
const DURABLE: Readonly<Record<string, Payload>> = {
  'one without a name': { query: `subscription($after:Cursor){events(after:$after){${EVENT}}}` },
  'a variable of another name': {
    query: `subscription S($since: Cursor) { events(after: $since) { ${EVENT} } }`,
  },
  'a variable that has a default': {
    query: `subscription S($after: Cursor = null) { events(after: $after) { ${EVENT} } }`,
  },
  'the one of several operations that is named': {
    query: `query Q { ok } subscription Other($after: Cursor) { events(after: $after) { __typename } }
      subscription S($from: Cursor) { events(after: $from) { ${EVENT} } }`,
    operationName: 'S',
  },
  'other names for all that is selected': {
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
  'a name that is a word of the language': {
    query: `subscription subscription($on: Cursor) { events(after: $on) { ${EVENT} } }`,
  },
};

for (const transport of TRANSPORTS) {
  for (const [words, payload] of Object.entries(DURABLE)) {
    test(`${transport}: resumes a subscription written with ${words}`, async () => {
      await using server = await openScriptedServer();
      server.plan(SLOW, SLOW);
      const states: unknown[] = [];
      const client = openClient(transport, server.url, '', {
        ...SOON,
        onState: ({ status, cursor }) => void states.push([status, cursor]),
      });
      const followed = follow(client, payload);
      await vi.waitFor(() => expect(server.begun).toEqual([null, '0', '0']));
      server.say('m1');
      await followed.until(() => followed.texts().includes('m1'));
      expect(followed.events).toHaveLength(2);
      expect(states.at(-1)).toEqual(['live', '0']);
      expect(states).toHaveLength(5);
      await client.dispose();
    });
  }

  test(`${transport}: resumes a persisted operation, sent without text, after its newest cursor`, async () => {
    await using server = await openScriptedServer();
    server.plan(SLOW, SLOW);
    const client = openClient(transport, server.url, '', SOON);
    const followed = follow(client, { query: '', variables: { after: null } });
    await vi.waitFor(() => expect(server.begun).toEqual([null, '0', '0']));
    server.say('m1');
    await followed.until(() => followed.texts().includes('m1'));
    expect(followed.events).toHaveLength(2);
    await client.dispose();
  });

  test(`${transport}: does not retry a persisted operation before its first cursor: it could be a mutation`, async () => {
    await using server = await openScriptedServer();
    server.plan({ at: 'start', extensions: { code: 'UNAVAILABLE' } });
    const client = openClient(transport, server.url, '', SOON);
    const followed = follow(client, { query: '', variables: { after: '7' } });
    await followed.until(() => followed.end !== undefined);
    expect(JSON.stringify(followed.end, messageOf)).toContain('It is over.');
    expect(server.begun).toEqual(['7']);
    await client.dispose();
  });

  test(`${transport}: accepts another name for the variable of a persisted operation`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', { ...SOON, cursorVariable: 'since' });
    server.plan(SLOW);
    follow(client, { query: '', variables: { since: '' } });
    await vi.waitFor(() => expect(server.variables.at(-1)).toEqual({ since: '0' }));
    expect(server.variables[0]).toEqual({});
    await client.dispose();
  });

  test(`${transport}: treats an empty cursor as absent`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '');
    const followed = follow(client, {
      query: `subscription ($after: Cursor) { events(after: $after) { ${EVENT} } }`,
      variables: { after: '' },
    });
    await followed.until(() => followed.events.length === 1);
    expect(server.begun).toEqual([null]);
    await client.dispose();
  });

  test(`${transport}: rejects a durable subscription that selects no cursor, with an explanation`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '');
    const payload = { query: 'subscription ($after: Cursor) { events(after: $after) { __typename } }' };
    const followed = follow(client, payload);
    await followed.until(() => followed.end !== undefined);
    expect(followed.end?.problem).toMatchObject({
      message: expect.stringContaining('selects no `cursor`') as string,
    });
    await expect(client.iterate(payload).next()).rejects.toThrow('selects no `cursor`');
    expect(server.begun).toEqual([]);
    await client.dispose();
  });

  test(`${transport}: ends a durable subscription with an error on an event without a cursor`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', SOON);
    const followed = follow(client, {
      query: 'subscription ($after: Cursor) { events(after: $after) { ... on TextAdded { cursor text } } }',
    });
    await followed.until(() => followed.end !== undefined);
    expect(followed.end?.problem).toMatchObject({
      message: expect.stringContaining('selects no `cursor`') as string,
    });
    expect(server.begun).toHaveLength(1);
    await client.dispose();
  });

  test(`${transport}: passes queries and their errors through`, async () => {
    await using server = await openScriptedServer();
    const client = openClient(transport, server.url, '', SOON);
    const run = (query: string) =>
      new Promise((resolve) => {
        const got: unknown[] = [];
        const finish = (problem?: unknown) => resolve(problem ?? got);
        client.subscribe(
          { query },
          { next: (result) => void got.push(result), error: finish, complete: finish },
        );
      });
    expect(await run('query Q { ok }')).toEqual([{ data: { ok: null } }]);
    const rejection = JSON.stringify(await run('{ nothing }'));
    expect(rejection).toContain('Cannot query field');
    const results = client.iterate({ query: '{ ok }' });
    expect((await results.next()).value).toEqual({ data: { ok: null } });
    expect((await results.next()).done).toBe(true);
    await client.dispose();
  });
}

/** Converts errors, which JSON.stringify would write as `{}`. */
const messageOf = (_key: string, value: unknown): unknown => (value instanceof Error ? value.message : value);
