import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { openPostgresNotifier } from '../../src/db/notify.ts';
import { createLogger } from '../../src/log.ts';
import { createCircle, createConversation, createGraphqlClient } from '../../src/testing/index.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { createTracing } from '../../src/tracing.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { createOwnPostgres } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { range } from '../harness/numbers.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';
import { PROGRAM_ENV, ROOT, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { startRedis } from '../harness/redis.ts';
import { startServer } from '../harness/server.ts';
import { startTraceCollector } from '../harness/trace-collector.ts';
import type { CollectedSpan, TraceCollector } from '../harness/trace-collector.ts';

const TEXT = 'A text that only readers may see';
const SEND = `mutation Send($id: ID!) { sendMessage(conversationId: $id, text: "${TEXT}") { message { id } } }`;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const TRACE_PARENT = `00-${TRACE}-b7ad6b7169203331-01`;

interface NodesOptions {
  readonly collector: TraceCollector;
  readonly traced: readonly ('one' | 'two')[];
  readonly withRedis?: boolean;
}

/** Returns the environment of a node that loads the documented SDK. */
const sdkFor = (collector: string) => ({
  NODE_OPTIONS: `--import ${join(ROOT, 'deploy/opentelemetry/otel.mjs')}`,
  OTEL_EXPORTER_OTLP_ENDPOINT: collector,
  OTEL_TRACES_SAMPLER_ARG: '1',
  OTEL_BSP_SCHEDULE_DELAY: '50',
});

/** Starts the program twice, over one database; the traced nodes load the documented SDK. */
async function startNodes({ collector, traced, withRedis = false }: NodesOptions) {
  await using stack = new AsyncDisposableStack();
  const databaseUrl = await createOwnPostgres();
  const redis = withRedis ? stack.use(await startRedis()) : undefined;
  const env = {
    DATABASE_URL: databaseUrl,
    AUTH_SECRET: 'shared by both nodes',
    LOG_LEVEL: 'debug',
    ...(redis && { REDIS_URL: redis.url }),
  };
  const sdk = sdkFor(collector.url);
  const start = async (name: 'one' | 'two') =>
    stack.use(await startServer({ ...env, NODE_NAME: name, ...(traced.includes(name) && sdk) }));
  const one = await start('one');
  const two = await start('two');
  const createAccount = async ({ url }: { readonly url: string }) =>
    stack.use(await createTestAccount(url, stack.use(createGraphqlClient(url))));
  const ann = await createAccount(one);
  const bob = await createAccount(two);
  const conversation = await createConversation(ann, await createCircle(ann, bob), bob);
  const events = stack.use(await bob.subscribeToConversation(conversation.id));
  const owned = stack.move();
  return {
    databaseUrl,
    one,
    two,
    ann,
    events,
    conversation,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Resolves with the spans of the trace that has the delivery on node two, once the root has arrived. */
async function waitForTrace(
  { spans }: TraceCollector,
  isRoot: (span: CollectedSpan) => boolean,
): Promise<readonly CollectedSpan[]> {
  const find = () => {
    const root = spans.find(isRoot);
    const ofTrace = spans.filter(({ traceId }) => traceId === root?.traceId);
    const delivery = ofTrace.find(isDeliveryOnTwo);
    // The nodes send their spans independently of each other.
    return ofTrace.some(({ spanId }) => spanId === delivery?.parentSpanId) ? ofTrace : undefined;
  };
  await expect.poll(find).toBeDefined();
  return find() ?? [];
}

const isDeliveryOnTwo = ({ node, name }: CollectedSpan): boolean =>
  node === 'two' && name === 'deliver conversation';

/** Returns the names of a span and its ancestors among the spans. */
function pathOf(spans: readonly CollectedSpan[], span: CollectedSpan | undefined): string[] {
  if (span === undefined) return [];
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [...pathOf(spans, parent), span.name];
}

test('nothing is traced without an SDK', () => {
  expect(createTracing()).toBeUndefined();
});

test('a traced node drains without its collector', async () => {
  await using data = await createDataFolder();
  await using node = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    ...sdkFor(`http://127.0.0.1:${await findFreePort()}`),
    // The first attempt to send is that of the drain, and fails before its end.
    OTEL_BSP_SCHEDULE_DELAY: '600000',
    OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    DRAIN_DELAY_MS: '3000',
    DATA_DIR: data.path,
    PORT: '0',
  });
  const url = await waitUntilListening(node.child);
  // Has a span.
  await (await fetch(`${url}/graphql?query={__typename}`)).text();
  node.child.kill('SIGTERM');
  expect(await node.exited).toEqual([0, null]);
  expect(node.printed.stdout).toContain('traces are not sent');
});

describe.runIf(inject('database') === 'postgres')('traces', () => {
  test.each([
    ['LISTEN/NOTIFY', false],
    ['Redis', true],
  ])('lead from an operation over SQL to the delivery on another node, over %s', async (_name, withRedis) => {
    if (withRedis && isMissing('redis-server')) return;
    await using collector = await startTraceCollector();
    await using nodes = await startNodes({ collector, traced: ['one', 'two'], withRedis });
    const { ann, one, conversation, events } = nodes;
    const send = (traceparent: string) =>
      fetch(`${one.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${ann.token}`,
          traceparent,
        },
        body: JSON.stringify({ query: SEND, variables: { id: conversation.id } }),
      });
    const response = await send(TRACE_PARENT);
    expect(await response.json()).toMatchObject({ data: { sendMessage: {} } });
    await events.next();
    const spans = await waitForTrace(collector, ({ traceId }) => traceId === TRACE);
    const operation = spans.find(({ name }) => name === 'mutation');
    expect(operation).toMatchObject({
      node: 'one',
      parentSpanId: 'b7ad6b7169203331',
      attributes: {
        'graphql.operation.type': 'mutation',
        'graphql.operation.name': 'Send',
        'parley.transport': 'http',
      },
    });
    expect(pathOf(spans, spans.find(isDeliveryOnTwo))).toEqual(['mutation', 'deliver conversation']);
    for (const name of ['INSERT messages', 'COMMIT'])
      expect(
        pathOf(
          spans,
          spans.find((span) => span.name === name),
        ),
      ).toEqual(['mutation', 'send batch', name]);
    expect(JSON.stringify(collector.spans)).not.toContain(TEXT);
    expect(JSON.stringify(collector.spans)).not.toContain(ann.login);
    expect(JSON.stringify(collector.spans)).not.toContain(ann.token);

    // Sends of one batch are delivered in their own traces.
    const traceIds = range(10, 29).map((number) => `${number}`.repeat(16));
    await Promise.all(traceIds.map((traceId) => send(`00-${traceId}-b7ad6b7169203331-01`)));
    const batches = () =>
      collector.spans.filter(({ name, links = [] }) => name === 'send batch' && links.length > 0);
    await expect.poll(batches).not.toEqual([]);
    for (const traceId of traceIds) {
      const trace = await waitForTrace(collector, (span) => span.traceId === traceId);
      expect(pathOf(trace, trace.find(isDeliveryOnTwo))).toEqual(['mutation', 'deliver conversation']);
    }
  });

  test('lead from a legacy event, and from a WebSocket operation, to the delivery', async () => {
    await using collector = await startTraceCollector();
    await using nodes = await startNodes({ collector, traced: ['one', 'two'] });
    const { ann, one, conversation, events } = nodes;
    const legacyClient = await ann.connectLegacy();
    await legacyClient.push('message', { conversation_id: conversation.legacyId, text: TEXT, files: [] });
    await events.next();
    const legacySpans = await waitForTrace(collector, ({ name }) => name === 'process message');
    const path = ['process message', 'mutation', 'deliver conversation'];
    expect(pathOf(legacySpans, legacySpans.find(isDeliveryOnTwo))).toEqual(path);
    const root = legacySpans.find(({ name }) => name === 'process message');
    expect(root?.parentSpanId ?? '').toBe('');
    expect(root?.attributes['parley.connection.id']).toMatch(/^sio-[0-9a-f]{8}-\d+$/);
    expect(legacySpans.map(({ name }) => name)).toContain('COMMIT');

    await using socket = await openGraphqlSocket(one.url, { token: ann.token });
    const payload = { query: SEND, variables: { id: conversation.id } };
    socket.send({
      type: 'subscribe',
      id: '1',
      payload: { ...payload, extensions: { traceparent: TRACE_PARENT } },
    });
    await socket.nextOf('next');
    await events.next();
    const spans = await waitForTrace(collector, ({ traceId }) => traceId === TRACE);
    expect(pathOf(spans, spans.find(isDeliveryOnTwo))).toEqual(['mutation', 'deliver conversation']);
    expect(JSON.stringify(collector.spans)).not.toContain(TEXT);
  });

  test('travel in notices from traced nodes only, and other nodes ignore them', async () => {
    await using collector = await startTraceCollector();
    await using nodes = await startNodes({ collector, traced: ['one'] });
    const { ann, conversation, events, databaseUrl } = nodes;
    const notices: string[] = [];
    await using notifier = await openPostgresNotifier({
      url: databaseUrl,
      log: createLogger('silent'),
      onText: (text) => void notices.push(text),
      onListening: () => undefined,
    });
    await notifier.listen(['parley', ...range(0, notifier.shards - 1).map((shard) => `parley_${shard}`)]);
    const send = { query: SEND, variables: { id: conversation.id } };
    await ann.graphql.run(send.query, send.variables);
    await events.next();
    await expect
      .poll(() => notices.filter((text) => text.includes('message.sent')))
      .toEqual([expect.stringMatching(/"trace":"00-[\da-f]{32}-[\da-f]{16}-01"/)]);
    await using untraced = createGraphqlClient(nodes.two.url, ann.token);
    await untraced.run(send.query, send.variables);
    await events.next();
    await expect.poll(() => notices.filter((text) => text.includes('message.sent')).length).toBe(2);
    expect(notices.filter((text) => text.includes('"trace"'))).toHaveLength(1);
    expect(collector.spans.map(({ node }) => node)).not.toContain('two');
  });
});
