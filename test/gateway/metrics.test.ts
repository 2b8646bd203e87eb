import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

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
