import { connect } from 'node:net';
import { expect, test } from 'vitest';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { stagger } from '../harness/waiting.ts';

const INBOX =
  'subscription { inboxEvents { __typename ... on CircleInvited { invitation { circle { name } } } } }';

interface SseEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
}

/** Parses the events of a response, without comments. */
async function* parseEvents(chunks: AsyncIterable<string>): AsyncGenerator<SseEvent> {
  let text = '';
  for await (const chunk of chunks) {
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
  const stream = await openEventStream(app.url, { token: account?.token, query, headers });
  const events = parseEvents(stream.text);
  return {
    response: stream.response,
    next: async () => (await events.next()).value as SseEvent,
    [Symbol.asyncDispose]: async () => stream[Symbol.dispose](),
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

const readCircleName = ({ data = '{}' }: SseEvent) =>
  JSON.parse(data).data.inboxEvents.invitation?.circle.name;

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
  expect(readCircleName(one)).toBe('one');
  await first[Symbol.asyncDispose]();

  await invite(app, ann, 'two');
  await invite(app, ann, 'three');
  await using second = await subscribe(app, ann, INBOX, { 'last-event-id': one.id ?? '' });
  expect(readCircleName(await second.next())).toBe('two');
  expect(readCircleName(await second.next())).toBe('three');
  expect(JSON.parse((await second.next()).data ?? '').data.inboxEvents.__typename).toBe('StreamLive');
});

test('an empty cursor means none, in the header and in the argument', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await invite(app, ann, 'before');
  const readTypename = ({ data = '' }: { readonly data?: string | undefined }) =>
    JSON.parse(data).data.inboxEvents.__typename as unknown;
  const after = INBOX.replace('inboxEvents', 'inboxEvents(after: "")');
  for (const [query, headers] of [
    [INBOX, { 'last-event-id': '' }],
    [after, {}],
    [after, { 'last-event-id': '' }],
  ] as const) {
    await using stream = await subscribe(app, ann, query, headers);
    expect(readTypename(await stream.next())).toBe('StreamLive');
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

test('an error is one result on an event stream, as the protocol requires', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const readErrorCode = async (account: TestAccount | undefined, query: string, headers = {}) => {
    await using stream = await subscribe(app, account, query, headers);
    expect(stream.response.status).toBe(200);
    const { event, data = '' } = await stream.next();
    expect(event).toBe('next');
    expect(await stream.next()).toMatchObject({ event: 'complete' });
    return JSON.parse(data).errors[0].extensions.code as unknown;
  };
  expect(await readErrorCode(undefined, INBOX)).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(ann, INBOX, { 'last-event-id': 'nonsense' })).toBe('CURSOR_INVALID');
  expect(await readErrorCode(ann, 'subscription { nothing }')).toBe('INVALID_INPUT');
  expect(await readErrorCode(ann, 'subscription {')).toBe('INVALID_INPUT');
  expect(await readErrorCode(ann, 'subscription { presence(circleId: "Circle:999") { online } }')).toBe(
    'NOT_FOUND',
  );
});

test('a request that accepts any type receives an event stream with ids', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const accept of ['*/*', 'text/*']) {
    await using stream = await subscribe(app, ann, INBOX, { accept });
    expect((await stream.next()).id).toBeTruthy();
  }
});

/** Returns the value of a metric, or `0` if there is none. */
async function readMetric(app: TestGateway, line: RegExp): Promise<string> {
  const text = await (await fetch(`${app.url}/metrics`)).text();
  return line.exec(text)?.[1] ?? '0';
}

const countOpenStreams = (app: TestGateway) =>
  readMetric(app, /^parley_connections\{transport="sse"\} (\d+)$/m);
const countOperations = (app: TestGateway) =>
  readMetric(app, /^parley_operations_total\{transport="http"\} (\d+)$/m);

test('a subscription whose `Accept` excludes event streams is rejected, and leaves no stream open', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const accept of ['application/json', 'application/graphql-response+json', 'text/html']) {
    await using stream = await subscribe(app, ann, INBOX, { accept });
    if (accept === 'text/html') expect(stream.response.status).toBe(406);
    else
      expect(await stream.response.json()).toMatchObject({
        errors: [{ extensions: { code: 'INVALID_INPUT' } }],
      });
  }
  expect(await countOpenStreams(app)).toBe('0');
});

test('a client that disconnects while its stream opens leaves no stream open', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const body = JSON.stringify({ query: INBOX });
  const { hostname, port } = new URL(app.url);
  const before = Number(await countOperations(app));
  const closes: Promise<unknown>[] = [];
  for (let delayMs = 0; delayMs < 30; delayMs += 1) {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    closes.push(new Promise((resolve) => socket.once('close', resolve)));
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n` +
        `Authorization: Bearer ${ann.token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    void stagger(delayMs).then(() => socket.resetAndDestroy());
  }
  await expect.poll(async () => Number(await countOperations(app))).toBeGreaterThan(before);
  await Promise.all(closes);
  // Queued behind the statements of these requests, so it completes after them.
  await ann.graphql.run('{ circles(first: 1) { nodes { id } } }');
  await expect.poll(() => countOpenStreams(app), { timeout: 5_000 }).toBe('0');
});

test('a gateway that stops ends the response after a `retry:`, with no error and no `complete`', async () => {
  const app = await startTestApp();
  const ann = await app.createAccount();
  using stream = await openEventStream(app.url, { token: ann.token, query: INBOX });
  await stream.readUntil(/StreamLive/);
  const shutdown = app[Symbol.asyncDispose]();
  let remainder = '';
  for await (const chunk of stream.text) remainder += chunk;
  expect(remainder).toMatch(/^retry: \d{3,4}\n\n$/);
  await shutdown;
});
