import { readFileSync } from 'node:fs';
import perfHooks from 'node:perf_hooks';
import { expect, test, vi } from 'vitest';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { produceTraffic } from '../harness/traffic.ts';

test('metrics count connections, operations and stream ends by reason, and measure the delivery delay', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await sendMessage(ann, conversation, 'hello');
  await events.next();
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    {
      id: conversation.id,
      email: bob.login,
    },
  );
  await events.waitForEnd();
  await using inbox = await bob.subscribeToInbox();
  expect(inbox.pending()).toEqual([]);
  await using idle = await app.connectLegacy();
  idle.close();
  await using socket = await openGraphqlSocket(app.url);
  socket.send('no frame');
  await socket.waitForClose();
  const readMetrics = async () => (await fetch(`${app.url}/metrics`)).text();
  for (const line of [
    'parley_connection_ends_total{transport="socket.io",reason="CLIENT"} 1',
    'parley_connections{transport="graphql-ws"} 1',
    'parley_connections{transport="socket.io"} 1',
    'parley_stream_ends_total{reason="KICKED"} 1',
    'parley_connection_ends_total{transport="graphql-ws",reason="PROTOCOL"} 1',
    'parley_legacy_connections_total{protocol="4",library="js 3.x-4.x"} 2',
    'parley_legacy_events_total{channel="join_conversation",protocol="4",library="js 3.x-4.x"} 1',
    'parley_legacy_frames_total{channel="success"} 2',
    'parley_legacy_frames_total{channel="message"} 1',
    'parley_legacy_frames_total{channel="conversation"} 1',
  ]) {
    await expect.poll(readMetrics).toContain(line);
  }
  const text = await readMetrics();
  expect(text).toMatch(/parley_delivery_delay_seconds_count [1-9]/);
  expect(text).toMatch(/parley_operations_total\{transport="http"\} [1-9]/);
});

test('metrics measure operations, legacy events and responses, with errors by code', async () => {
  await using app = await startTestApp();
  await produceTraffic(app);
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({
    type: 'subscribe',
    id: '1',
    payload: { query: '{ circles(first: 1) { edges { cursor } } }' },
  });
  await socket.nextOf('next');
  socket.send({ type: 'subscribe', id: '2', payload: { query: '{ unknown }' } });
  await socket.nextOf('error');
  const legacyClient = await app.connectLegacy();
  await legacyClient.expectError('message', {});
  const text = await (await fetch(`${app.url}/metrics`)).text();
  for (const line of [
    /parley_build_info\{version="\d+\.\d+\.\d+",node_version="v\d+[.\d]+"\} 1/,
    /parley_ready 1/,
    /parley_operation_duration_seconds_count\{operation="mutation",transport="http",outcome="ok"\} [1-9]/,
    /parley_operation_duration_seconds_count\{operation="mutation",transport="http",outcome="error"\} 1/,
    /parley_operation_duration_seconds_count\{operation="query",transport="graphql-ws",outcome="error"\} 1/,
    /parley_operation_duration_seconds_count\{operation="subscription",transport="graphql-ws",outcome="ok"\} 1/,
    /parley_legacy_event_duration_seconds_count\{channel="message",outcome="ok"\} 1/,
    /parley_legacy_event_duration_seconds_count\{channel="message",outcome="error"\} 1/,
    // A document that is invalid, and a login with a wrong password.
    /parley_errors_total\{transport="http",code="INVALID_INPUT"\} 1/,
    /parley_errors_total\{transport="http",code="UNAUTHENTICATED"\} 1/,
    /parley_errors_total\{transport="graphql-ws",code="UNAUTHENTICATED"\} 1/,
    /parley_errors_total\{transport="graphql-ws",code="INVALID_INPUT"\} 1/,
    /parley_errors_total\{transport="socket.io",code="UNAUTHENTICATED"\} 1/,
    /parley_errors_total\{transport="socket.io",code="INTERNAL"\} 0/,
    /parley_security_events_total\{event="login failed"\} 1/,
    /parley_http_responses_total\{route="\/graphql",status="2xx"\} [1-9]/,
    /parley_http_responses_total\{route="unknown",status="4xx"\} 1/,
    /parley_subscriptions\{transport="graphql-ws"\} 0/,
    /parley_send_batch_size_count 2/,
    /parley_database_wait_seconds_count [1-9]/,
    /parley_database_connections_max [1-9]/,
    /parley_bus_connected 1/,
    /parley_tcp_connections [1-9]/,
  ])
    expect(text).toMatch(line);
});

test('the documented metrics, with their labels, are those of /metrics', async () => {
  await using app = await startTestApp();
  await produceTraffic(app);
  const text = await (await fetch(`${app.url}/metrics`)).text();
  const documented = readDocumentedMetrics();
  const names = [...text.matchAll(/^# TYPE (parley_\w+)/gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(40);
  expect([...documented.keys()].sort()).toEqual(names.sort());
  const labels = [...text.matchAll(/^(parley_\w+?)(?:_bucket)?\{([^}]*)\}/gm)].flatMap(
    ([, name = '', pairs = '']) =>
      [...pairs.matchAll(/(\w+)="/g)].map(([, label = '']) => [name, label] as const),
  );
  for (const [name, label] of labels) {
    if (label === 'le') continue;
    const row = documented.get(name) ?? documented.get(name.replace(/_(sum|count)$/, ''));
    expect(row, `${name} has the label ${label}`).toMatch(new RegExp(`\`${label}\``));
  }
});

/** Returns the rows of the tables of metrics, by name. */
function readDocumentedMetrics(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../docs/operations/monitoring.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| `(parley_\w+)` .*$/gm);
  return new Map([...rows].map(([row, name = '']) => [name, row]));
}

test('gateways of one process share the observers of its metrics', () => {
  const observers = vi.spyOn(perfHooks, 'monitorEventLoopDelay');
  for (const version of ['1', '2', '3']) createMetrics(version);
  expect(observers.mock.calls.length).toBeLessThanOrEqual(1);
  observers.mockRestore();
});
