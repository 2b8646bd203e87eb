import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { EventLog } from '../../src/db/event-log.ts';
import { createBus } from '../../src/events/bus.ts';
import type { DetachedReader, EventStream, StreamItem } from '../../src/events/stream.ts';
import { createTails } from '../../src/events/tail.ts';
import type { Tail } from '../../src/events/tail.ts';
import type { Follower } from '../../src/events/tail-source.ts';
import { createFanOut } from '../../src/gateway/execution/fan-out.ts';
import type { Receiver } from '../../src/gateway/execution/fan-out-group.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { TurnEnd } from '../../src/lib/turn-end.ts';
import { createLogger } from '../../src/log.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion, LegacySocket } from '../clients/load.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { listConnections } from '../harness/live-connections.ts';
import { startLoggedApp } from '../harness/logged-app.ts';
import { createOperator } from '../harness/operator.ts';

// docs/diagnosis.md names these log lines and metrics, and how to follow a connection by its id.

const INFO = 30;
const DEBUG = 20;

const createEventsQuery = (id: string, name: string) =>
  `subscription ${name} { conversationEvents(conversationId: "${id}") { __typename ... on MessageSent { message { text } } } }`;

/** Subscribes and waits until the stream is live. */
async function subscribe(socket: GraphqlSocket, id: string, query: string): Promise<void> {
  socket.send({ id, type: 'subscribe', payload: { query } });
  await socket.next((frame) => frame['id'] === id && frame['type'] === 'next');
}

test('the log follows a GraphQL WebSocket, its operations and its streams by connection id', async () => {
  await using app = await startLoggedApp();
  const { ann, conversation } = await createAnnAndBob(app);
  const socket = await openGraphqlSocket(app.url, { token: ann.token });
  await subscribe(socket, 'a', createEventsQuery(conversation.id, 'Chat'));
  const [openedLine] = app.lines({ msg: 'stream opened', operation: 'subscription Chat' });
  const connection = openedLine?.['connection'];
  const account = openedLine?.['account'];
  expect(connection).toMatch(/^ws-[0-9a-f]{8}-\d+$/);
  expect(account).toMatch(/^user:\d+$/);
  const topic = `conversation:${conversation.legacyId}`;
  const connectionFields = { connection, transport: 'graphql-ws' };
  expect(openedLine).toMatchObject({ ...connectionFields, level: DEBUG, topic });
  expect(app.lines({ ...connectionFields, msg: 'connection opened' })).toMatchObject([{ level: DEBUG }]);
  expect(app.lines({ connection, msg: 'connection authenticated' })).toMatchObject([{ account }]);

  socket.send({ id: 'b', type: 'subscribe', payload: { query: 'query Me { me { __typename } }' } });
  await socket.nextOf('complete');
  expect(app.lines({ connection, msg: 'operation ended' })).toEqual([
    expect.objectContaining({
      ...connectionFields,
      account,
      operation: 'query Me',
      operationId: 'b',
      durationMs: expect.any(Number),
    }),
  ]);
  const query = 'query Missing { conversation(id: "Conversation:999999") { id } }';
  socket.send({ id: 'c', type: 'subscribe', payload: { query } });
  await socket.nextOf('complete');

  socket.send({ id: 'a', type: 'complete' });
  await expect
    .poll(() => app.lines({ connection, msg: 'stream ended' }))
    .toMatchObject([
      { ...connectionFields, level: DEBUG, account, topic, operation: 'subscription Chat', reason: 'CLIENT' },
    ]);
  socket.socket.close(1000);
  await expect
    .poll(() => app.lines({ connection, msg: 'connection closed' }))
    .toMatchObject([
      { ...connectionFields, level: DEBUG, account, code: 1000, reason: 'CLIENT', operations: 3 },
    ]);
});

test('a stream that the server ends is logged at level info, with topic and reason', async () => {
  await using app = await startLoggedApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: bob.token });
  await subscribe(socket, 'a', createEventsQuery(conversation.id, 'Chat'));
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: bob.login },
  );
  await socket.nextOf('error');
  expect(app.lines({ msg: 'stream ended', reason: 'KICKED' })).toMatchObject([
    {
      level: INFO,
      connection: expect.stringMatching(/^ws-/) as unknown,
      account: expect.stringMatching(/^user:/) as unknown,
      topic: `conversation:${conversation.legacyId}`,
      operation: 'subscription Chat',
    },
  ]);
  expect(await app.metrics()).toContain('parley_stream_ends_total{reason="KICKED"} 1');
});

test('the end of a connection by the server is logged at level info, with reason and close code', async () => {
  await using app = await startLoggedApp();
  const ann = await app.createAccount({ email: 'ann@example.com', password: 'correct horse' });
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  await subscribe(socket, 'a', 'subscription { inboxEvents { __typename } }');
  await ann.graphql.run('mutation { logout }');
  await socket.waitForClose();
  await expect
    .poll(() => app.lines({ msg: 'connection closed', reason: 'LOGGED_OUT' }))
    .toMatchObject([{ level: INFO, transport: 'graphql-ws', code: 4401, operations: 1 }]);
  const [{ connection } = {}] = app.lines({ msg: 'connection closed', reason: 'LOGGED_OUT' });
  expect(app.lines({ msg: 'stream ended', connection })).toMatchObject([
    { level: INFO, reason: 'LOGGED_OUT', operation: 'subscription anonymous' },
  ]);
});

test('an event stream over SSE is a separate connection in the log', async () => {
  await using app = await startLoggedApp();
  const { ann, conversation } = await createAnnAndBob(app);
  using stream = await openEventStream(app.url, {
    token: ann.token,
    query: createEventsQuery(conversation.id, 'Chat'),
  });
  expect(stream.response.status).toBe(200);
  const opened = { transport: 'sse', msg: 'connection opened' };
  await expect.poll(() => app.lines(opened)).toHaveLength(1);
  const [{ account, connection } = {}] = app.lines(opened);
  expect(connection).toMatch(/^sse-[0-9a-f]{8}-\d+$/);
  const connectionFields = { connection, transport: 'sse' };
  expect(account).toMatch(/^user:\d+$/);
  expect(app.lines(connectionFields).map(({ msg }) => msg)).toEqual(['connection opened', 'stream opened']);
  expect(app.lines({ ...connectionFields, msg: 'stream opened' })).toMatchObject([
    { account, topic: `conversation:${conversation.legacyId}`, operation: 'subscription Chat' },
  ]);
  stream[Symbol.dispose]();
  await expect
    .poll(() => app.lines({ ...connectionFields, msg: 'connection closed' }))
    .toMatchObject([{ level: DEBUG, account, reason: 'CLIENT', operations: 1 }]);
  expect(app.lines({ ...connectionFields, msg: 'stream ended' })).toMatchObject([
    { account, reason: 'CLIENT' },
  ]);
});

test('operations over HTTP have the id of their TCP connection in the log', async () => {
  await using app = await startLoggedApp();
  const post = async (agent: Agent, name: string): Promise<unknown> => {
    const headers = { 'content-type': 'application/json', 'x-request-id': `request of ${name}` };
    const clientRequest = request(`${app.url}/graphql`, { method: 'POST', agent, headers });
    clientRequest.end(JSON.stringify({ query: `query ${name} { __typename }` }));
    const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
    await readText(response);
    const [line] = app.lines({ msg: 'operation ended', transport: 'http', operation: `query ${name}` });
    expect(line?.['operationId']).toBe(`request of ${name}`);
    return line?.['connection'];
  };
  const [agent, otherAgent] = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true })];
  const connection = await post(agent, 'First');
  expect(connection).toMatch(/^http-[0-9a-f]{8}-\d+$/);
  expect(await post(agent, 'Second')).toBe(connection);
  const otherConnection = await post(otherAgent, 'Third');
  expect(otherConnection).toMatch(/^http-[0-9a-f]{8}-\d+$/);
  expect(otherConnection).not.toBe(connection);
  agent.destroy();
  otherAgent.destroy();

  const body = new FormData();
  const query = 'mutation Upload($file: Upload!) { uploadMedia(mediaId: "Media:1", file: $file) { id } }';
  body.set('operations', JSON.stringify({ query, variables: { file: null } }));
  body.set('map', JSON.stringify({ 0: ['variables.file'] }));
  body.set('0', new Blob(['content']), 'a.txt');
  await fetch(`${app.url}/graphql`, { method: 'POST', body });
  expect(app.lines({ msg: 'operation ended', operation: 'mutation Upload' })).toMatchObject([
    { transport: 'http', connection: expect.stringMatching(/^http-[0-9a-f]{8}-\d+$/) as unknown },
  ]);
});

test.for<ClientVersion>(['1.3.6', '4.8.4'])(
  'no line, and no answer to operators, contains the session id of socket.io-client %s',
  async (version) => {
    await using app = await startLoggedApp();
    const ann = await app.createAccount();
    await using client = await app.connectLegacy({ io: loadClient(version) as never });
    await client.push('authenticate', { token: ann.token });
    const { id, io } = client.socket as unknown as LegacySocket;
    const sessionIds = [io.engine.id, ...(id === undefined ? [] : [id])];
    const connections = await listConnections(createOperator(app.url));
    const report = await (await fetch(`${app.url}/legacy-report`)).text();
    client.close();
    const closed = { msg: 'connection closed', transport: 'socket.io' };
    await expect.poll(() => app.lines(closed)).toHaveLength(1);
    const [{ connection } = {}] = app.lines(closed);
    expect(connection).toMatch(/^sio-[0-9a-f]{8}-\d+$/);
    expect(connections).toMatchObject([{ id: connection, account: ann.id }]);
    expect(app.lines({ connection, msg: 'connection authenticated' })).toHaveLength(1);
    const shown = app.text() + JSON.stringify(connections) + report + (await app.metrics());
    for (const sessionId of sessionIds) expect(shown).not.toContain(sessionId);
  },
);

test('the log contains no token, literal of a document, variable or message', async () => {
  await using app = await startLoggedApp();
  const { ann, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const query = `mutation Send($id: ID!) { sendMessage(conversationId: $id, text: "a literal") { message { id } } }`;
  socket.send({ id: 'a', type: 'subscribe', payload: { query, variables: { id: conversation.id } } });
  await socket.nextOf('complete');
  await sendMessage(ann, conversation, 'a variable');
  expect(app.lines({ msg: 'operation ended', operation: 'mutation Send' }).length).toBeGreaterThan(0);
  for (const secret of [ann.token, 'a literal', 'a variable', 'ann@example.com'])
    expect(app.text()).not.toContain(secret);
});

test('a client that sends and does not read is paused, logged and counted', async () => {
  await using app = await startLoggedApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.socket.pause();
  const payload = { filler: 'x'.repeat(200_000) };
  for (let index = 0; index < 200; index += 1) socket.send({ type: 'ping', payload });
  await expect
    .poll(() => app.lines({ msg: 'socket paused' }), { timeout: 10_000 })
    .toMatchObject([{ transport: 'graphql-ws', queuedBytes: expect.any(Number) as unknown }]);
  const metrics = await app.metrics();
  expect(metrics).toContain('parley_socket_pauses_total{transport="graphql-ws"} 1');
  const queued = /parley_queued_bytes\{queue="socket",transport="graphql-ws"\} (\d+)/.exec(metrics)?.[1];
  expect(Number(queued)).toBeGreaterThan(1024 * 1024);
  socket.socket.resume();
  await expect.poll(() => app.lines({ msg: 'socket resumed' }).length).toBeGreaterThan(0);
});

test('the groups of shared delivery are measured, and a slow member that falls back is logged and counted', async () => {
  await using app = await startLoggedApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: bob.token });
  const MEMBERS = 100;
  const query = createEventsQuery(conversation.id, 'Chat');
  for (let index = 0; index < MEMBERS; index += 1) await subscribe(socket, String(index), query);
  for (const line of [
    'parley_shared_groups 1',
    `parley_shared_group_members ${MEMBERS}`,
    `parley_shared_group_largest ${MEMBERS}`,
    'parley_queued_bytes{queue="group"} 0',
    'parley_log_lag_events 0',
  ])
    await expect.poll(app.metrics).toContain(line);

  socket.socket.pause();
  const findFallbacks = () => app.lines({ msg: 'stream fell back to the event log', reason: 'SLOW' });
  for (let count = 0; count < 60 && findFallbacks().length === 0; count += 1)
    await sendMessage(ann, conversation, 'x'.repeat(8_000));
  const [fallbackLine] = findFallbacks();
  expect(fallbackLine).toMatchObject({
    level: DEBUG,
    connection: expect.stringMatching(/^ws-/) as unknown,
    topic: `conversation:${conversation.legacyId}`,
  });
  expect(await app.metrics()).toMatch(/parley_shared_delivery_fallbacks_total\{reason="SLOW"\} [1-9]/);
});

const ENVELOPE = { topic: 'user:1', seq: 1, at: '', event: {} } as never;

/** Creates a group of one member whose receiver throws. */
async function createGroup(execute: () => Promise<object>, size: number) {
  const metrics = createMetrics('test');
  let follower: Follower | undefined;
  const joined = Promise.withResolvers<void>();
  const tail = {
    follow(newFollower: Follower) {
      follower = newFollower;
    },
    unfollow: () => undefined,
    close: () => undefined,
  } as Partial<Tail> as Tail;
  const detached: DetachedReader = {
    deliveredSeq: 0,
    endsAccess: () => false,
    advance: () => true,
    reattach: () => undefined,
  };
  const stream = {
    topic: 'user:1',
    isCaughtUp: () => true,
    itemOf: () => ({ type: 'live', cursor: '', at: '' }) as unknown as StreamItem,
    sizeOf: () => size,
    detach() {
      joined.resolve();
      return detached;
    },
  } as Partial<EventStream> as EventStream;
  const tails = {
    open: () => Promise.resolve(tail),
    compare: () => Promise.resolve(),
    whenDelivered: () => Promise.resolve(),
    isCurrent: true,
    lag: () => 0,
    whenFollowed: () => undefined,
    onEphemeral: () => () => undefined,
  };
  const fanOut = createFanOut({
    tails,
    log: createLogger('silent'),
    metrics,
    turnClock: new TurnClock(),
    turnEnd: new TurnEnd(),
  });
  const receiver: Receiver = {
    write() {
      throw new Error('broken');
    },
  };
  const completion = fanOut.run(stream, { key: 'k', execute }, receiver);
  await joined.promise;
  /** Returns the reasons that were counted, with their numbers. */
  const fallbacks = async () => (await metrics.fallbacks.get()).values.filter(({ value }) => value > 0);
  return { follower, completion, fallbacks };
}

test.for([
  { reason: 'QUEUE_FULL', execute: () => new Promise<never>(() => undefined), size: 5 * 1024 * 1024 },
  { reason: 'EXECUTION_FAILED', execute: () => Promise.reject(new Error('broken')), size: 1 },
  { reason: 'WRITE_FAILED', execute: () => Promise.resolve({ data: {} }), size: 1 },
  { reason: 'GAP', execute: () => Promise.reject(new Error('not executed')), size: 1 },
])('a member that falls back because of $reason is counted', async ({ reason, execute, size }) => {
  const { follower, completion, fallbacks } = await createGroup(execute, size);
  if (reason === 'GAP') follower?.onGap?.();
  else follower?.onEvent?.(ENVELOPE);
  await completion;
  expect(await fallbacks()).toEqual([{ labels: { reason }, value: 1 }]);
});

test('log lag is the number of committed events that the tail has not delivered', async () => {
  const eventLog = {
    readRange: () => Promise.resolve({ head: 2, trimmed: 0 }),
    readHeads: () => Promise.resolve(new Map([['conversation:1', 5]])),
    readChanges: () =>
      Promise.resolve({
        snapshot: { transactions: '1:1:', server: 'only', lastAppend: null },
        epoch: '',
        heads: new Map(),
      }),
    readAfter: () => new Promise(() => undefined),
  } as unknown as EventLog;
  const log = createLogger('silent');
  const tails = createTails({
    eventLog,
    epoch: { current: '' },
    ownAppends: { newest: undefined },
    bus: createBus(log),
    log,
  });
  const tail = await tails.open('conversation:1');
  expect(tails.lag()).toBe(0);
  await tails.compare();
  expect(tails.lag()).toBe(3);
  tail?.close();
  expect(tails.lag()).toBe(0);
});

test('every metric, log line and statement of docs/diagnosis.md exists', async () => {
  const page = await readFile('docs/diagnosis.md', 'utf8');
  await using app = await startLoggedApp();
  const metrics = await app.metrics();
  for (const [name] of page.matchAll(/\b(?:parley|nodejs|process)_\w+/g))
    expect(metrics).toContain(`# TYPE ${name} `);

  const sources = await Promise.all(
    [
      'gateway/websocket/server',
      'gateway/websocket/protocol',
      'gateway/http/event-streams',
      'gateway/execution/operation-log',
      'gateway/execution/fan-out-group',
      'bridge/connection-log',
      'bridge/connection',
      'bridge/event-handler',
      'bridge/received-events',
      'bridge/server',
    ].map((file) => readFile(`src/${file}.ts`, 'utf8')),
  );
  const lines = [...page.matchAll(/^\| ((?:`[a-z ]+`(?:, )?)+) +\| (?:info|debug|warn)/gm)].flatMap(
    ([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, line]) => line),
  );
  expect(lines).toHaveLength(12);
  const [, causeTable = ''] = page.split('| `cause` ');
  const causes = [...(causeTable.split('\n\n')[0] ?? '').matchAll(/^\| `([a-z ]+)` /gm)].map(
    ([, cause]) => cause,
  );
  expect(causes).toHaveLength(7);
  for (const line of [...lines, ...causes]) expect(sources.join()).toContain(`'${line}'`);

  const { db } = await openTestDatabase();
  const statements = [...page.matchAll(/```sql\n([^]*?)```/g)].flatMap(([, block = '']) =>
    block.split(/;\n/),
  );
  const ownStatements = statements.filter((one) => /\S/.test(one) && !one.includes('pg_stat_statements'));
  expect(ownStatements).toHaveLength(7);
  for (const statement of ownStatements) await sql.raw(statement).execute(db);
});
