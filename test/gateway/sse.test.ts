import { connect } from 'node:net';
import { expect, test } from 'vitest';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { stagger } from '../harness/waiting.ts';

const INBOX =
  'subscription { inboxEvents { __typename ... on CircleInvited { invitation { circle { name } } } } }';

interface SseEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
}

/** Parses the events of a response, without comments. */
async function* eventsOf(response: Response): AsyncGenerator<SseEvent> {
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const fields = lines.flatMap((line) =>
        line.startsWith(':') ? [] : [[line.split(':', 1)[0], line.replace(/^\w+: ?/, '')]],
      );
      if (fields.length > 0) yield Object.fromEntries(fields);
    }
  }
}

async function subscribe(
  app: TestGateway,
  account: TestAccount | undefined,
  query: string,
  headers: Record<string, string> = {},
) {
  const abort = new AbortController();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    signal: abort.signal,
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(account === undefined ? {} : { authorization: `Bearer ${account.token}` }),
      ...headers,
    },
    body: JSON.stringify({ query }),
  });
  const events = eventsOf(response);
  return {
    response,
    next: async () => (await events.next()).value as SseEvent,
    [Symbol.asyncDispose]: async () => abort.abort(),
  };
}

async function invite(app: TestGateway, ann: TestAccount, name: string): Promise<void> {
  const bob = await app.createAccount();
  const { createCircle } = await bob.graphql.run<{ createCircle: { id: string } }>(
    'mutation ($name: String!) { createCircle(name: $name) { id } }',
    { name },
  );
  await bob.graphql.run(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    {
      id: createCircle.id,
      email: ann.login,
    },
  );
}

const nameIn = ({ data = '{}' }: SseEvent) => JSON.parse(data).data.inboxEvents.invitation?.circle.name;

test('a subscription over SSE resumes after its last event id', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using first = await subscribe(app, ann, INBOX);
  expect(first.response.headers.get('content-type')).toContain('text/event-stream');
  const live = await first.next();
  expect(live).toMatchObject({ event: 'next', data: '{"data":{"inboxEvents":{"__typename":"StreamLive"}}}' });
  expect(live.id).toBeTruthy();
  await invite(app, ann, 'one');
  const one = await first.next();
  expect(nameIn(one)).toBe('one');
  await first[Symbol.asyncDispose]();

  await invite(app, ann, 'two');
  await invite(app, ann, 'three');
  await using second = await subscribe(app, ann, INBOX, { 'last-event-id': one.id ?? '' });
  expect(nameIn(await second.next())).toBe('two');
  expect(nameIn(await second.next())).toBe('three');
  expect(JSON.parse((await second.next()).data ?? '').data.inboxEvents.__typename).toBe('StreamLive');
});

test('an empty cursor counts as none, in the header and in the argument', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await invite(app, ann, 'before');
  const typeOf = ({ data = '' }: { readonly data?: string | undefined }) =>
    JSON.parse(data).data.inboxEvents.__typename as unknown;
  const after = INBOX.replace('inboxEvents', 'inboxEvents(after: "")');
  for (const [query, headers] of [
    [INBOX, { 'last-event-id': '' }],
    [after, {}],
    [after, { 'last-event-id': '' }],
  ] as const) {
    await using stream = await subscribe(app, ann, query, headers);
    expect(typeOf(await stream.next())).toBe('StreamLive');
  }
  await using socket = ann.graphql.subscribe('subscription { inboxEvents(after: "") { __typename } }');
  expect(await socket.next()).toEqual({ __typename: 'StreamLive' });
});

test('a stream that the server ends has a result with the reason, then `complete`', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using stream = await subscribe(app, ann, INBOX);
  await stream.next();
  await ann.graphql.run('mutation { logout }');
  const last = await stream.next();
  expect(JSON.parse(last.data ?? '').errors[0].extensions).toMatchObject({
    code: 'UNAUTHENTICATED',
    reason: 'LOGGED_OUT',
  });
  expect(await stream.next()).toMatchObject({ event: 'complete' });
});

test('a refusal is one result on an event stream, as the protocol requires', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const refused = async (account: TestAccount | undefined, query: string, headers = {}) => {
    await using stream = await subscribe(app, account, query, headers);
    expect(stream.response.status).toBe(200);
    const { event, data = '' } = await stream.next();
    expect(event).toBe('next');
    expect(await stream.next()).toMatchObject({ event: 'complete' });
    return JSON.parse(data).errors[0].extensions.code as unknown;
  };
  expect(await refused(undefined, INBOX)).toBe('UNAUTHENTICATED');
  expect(await refused(ann, INBOX, { 'last-event-id': 'nonsense' })).toBe('CURSOR_INVALID');
  expect(await refused(ann, 'subscription { nothing }')).toBe('INVALID_INPUT');
  expect(await refused(ann, 'subscription {')).toBe('INVALID_INPUT');
  expect(await refused(ann, 'subscription { presence(circleId: "Circle:999") { online } }')).toBe(
    'NOT_FOUND',
  );
});

test('a request that accepts any type receives an event stream with ids too', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const accept of ['*/*', 'text/*']) {
    await using stream = await subscribe(app, ann, INBOX, { accept });
    expect((await stream.next()).id).toBeTruthy();
  }
});

/** Returns the number of open event streams. */
async function metric(app: TestGateway, line: RegExp): Promise<string> {
  const text = await (await fetch(`${app.url}/metrics`)).text();
  return line.exec(text)?.[1] ?? '0';
}

const openStreams = (app: TestGateway) => metric(app, /^parley_connections\{transport="sse"\} (\d+)$/m);
const operations = (app: TestGateway) => metric(app, /^parley_operations_total\{transport="http"\} (\d+)$/m);

test('a subscription whose `Accept` excludes event streams is refused, and nothing stays open', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const accept of ['application/json', 'application/graphql-response+json', 'text/html']) {
    await using refused = await subscribe(app, ann, INBOX, { accept });
    if (accept === 'text/html') expect(refused.response.status).toBe(406);
    else
      expect(await refused.response.json()).toMatchObject({
        errors: [{ extensions: { code: 'INVALID_INPUT' } }],
      });
  }
  expect(await openStreams(app)).toBe('0');
});

test('a client that disconnects while its stream opens leaves nothing open', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const body = JSON.stringify({ query: INBOX });
  const { hostname, port } = new URL(app.url);
  const before = Number(await operations(app));
  const gone: Promise<unknown>[] = [];
  for (let wait = 0; wait < 30; wait += 1) {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    gone.push(new Promise((resolve) => socket.once('close', resolve)));
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n` +
        `Authorization: Bearer ${ann.token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    void stagger(wait).then(() => socket.resetAndDestroy());
  }
  await expect.poll(async () => Number(await operations(app))).toBeGreaterThan(before);
  await Promise.all(gone);
  // Runs after their statements, which it queues behind.
  await ann.graphql.run('{ circles(first: 1) { nodes { id } } }');
  await expect.poll(() => openStreams(app), { timeout: 5_000 }).toBe('0');
});

test('a gateway that stops ends the response after a `retry:`, with no error and no `complete`', async () => {
  const app = await startTestApp();
  const ann = await app.createAccount();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${ann.token}`,
    },
    body: JSON.stringify({ query: INBOX }),
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const read = async (): Promise<string> => (await reader?.read())?.value ?? '';
  let text = '';
  while (!text.includes('StreamLive')) text += await read();
  const stopped = app[Symbol.asyncDispose]();
  let rest = '';
  for (let chunk = await read(); chunk !== ''; chunk = await read()) rest += chunk;
  expect(rest).toMatch(/^retry: \d{3,4}\n\n$/);
  await stopped;
});
