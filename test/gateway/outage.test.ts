import { sql } from 'kysely';
import { describe, expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startPostgres } from '../harness/postgres.ts';

/** Selects a field whose execution reads the database for every event. */
const EVENTS = `subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename cursor ... on MessageSent { message { text conversation { name eventCursor } } }
  }
}`;

const SEND_MESSAGE = `mutation ($id: ID!, $text: String!) {
  sendMessage(conversationId: $id, text: $text, idempotencyKey: $text) { message { id } }
}`;
const LIVE = { conversationEvents: { __typename: 'StreamLive' } };
const DISCONNECT_EVERY = 20;
/** Connections that are cut while they are opened can take as long as the longest wait for one, and retries. */
const RECOVERY_TIMEOUT_MS = 60_000;

const openServerDatabase = (url: string) => openDatabase({ kind: 'postgres', url }, createLogger('silent'));

describe.skipIf(inject('database') !== 'postgres')('a database outage', () => {
  test('ends no subscription when all database connections are terminated under load', async () => {
    await using server = await startPostgres();
    await using database = await openServerDatabase(server.url);
    await using admin = await openServerDatabase(server.url);
    await using app = await startTestApp({ database });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const sentTexts = Array.from({ length: 400 }, (_, index) => `text ${index}`);
    const after = await ann.graphql.run<{ conversation: { eventCursor: string } }>(
      'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
      { id: conversation.id },
    );
    // A login whose connection is terminated would be refused with 1013, for the client to repeat.
    await using socket = await openGraphqlSocket(app.url, { token: bob.token });
    const writes = (async () => {
      for (const [index, text] of sentTexts.entries()) {
        const disconnection = index % DISCONNECT_EVERY === 0 ? terminateConnections(admin) : undefined;
        await sendWithRetries(ann, conversation, text);
        await disconnection;
      }
    })();
    const ids = ['0', '1', '2', '3', '4'];
    for (const id of ids) {
      const variables = { id: conversation.id, after: after.conversation.eventCursor };
      socket.send({ id, type: 'subscribe', payload: { query: EVENTS, variables } });
    }
    const received = new Map(ids.map((id) => [id, [] as string[]]));
    while ([...received.values()].some((texts) => texts.length < sentTexts.length)) {
      const frame = await socket.next(undefined, RECOVERY_TIMEOUT_MS);
      expect(frame).toMatchObject({ type: 'next', payload: { data: { conversationEvents: {} } } });
      const text = readText(frame);
      if (text !== undefined) received.get(String(frame['id']))?.push(text);
    }
    for (const texts of received.values()) expect(texts).toEqual(sentTexts);
    await writes;
  }, 120_000);

  test('delays a subscription that starts during the outage, over WebSocket and SSE', async () => {
    await using server = await startPostgres();
    await using database = await openServerDatabase(server.url);
    await using app = await startTestApp({ database });
    const { ann, conversation } = await createAnnAndBob(app);
    await using socket = await openGraphqlSocket(app.url, { token: ann.token });
    await server.stop();
    const payload = { query: EVENTS, variables: { id: conversation.id } };
    socket.send({ id: '1', type: 'subscribe', payload });
    const cancelled = { query: 'subscription { inboxEvents { __typename } }' };
    socket.send({ id: '2', type: 'subscribe', payload: cancelled });
    socket.send({ id: '2', type: 'complete' });
    const extensions = { headers: { authorization: `Bearer ${ann.token}` } };
    socket.send({ id: '3', type: 'subscribe', payload: { ...payload, extensions } });
    using stream = await openEventStream(app.url, { token: ann.token, ...payload });
    expect(stream.response.status).toBe(200);
    await server.start();

    for (const id of ['1', '3'])
      expect(await socket.next((frame) => frame['id'] === id)).toMatchObject({
        type: 'next',
        payload: { data: LIVE },
      });
    const text = await stream.readUntil(/data:/);
    expect(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? '')).toMatchObject({ data: LIVE });
    socket.send({ id: '2', type: 'subscribe', payload: cancelled });
    expect(await socket.next()).toMatchObject({ id: '2', type: 'next' });
  }, 60_000);

  test('rejects a delayed subscription with its own error once the database is available', async () => {
    await using server = await startPostgres();
    await using database = await openServerDatabase(server.url);
    await using app = await startTestApp({ database });
    const ann = await app.createAccount();
    await using socket = await openGraphqlSocket(app.url, { token: ann.token });
    await server.stop();
    socket.send({
      id: '1',
      type: 'subscribe',
      payload: { query: EVENTS, variables: { id: 'Conversation:999' } },
    });
    await server.start();
    expect(await socket.next()).toMatchObject({
      id: '1',
      type: 'error',
      payload: [{ extensions: { code: 'NOT_FOUND' } }],
    });
  }, 60_000);

  test('does not delay the shutdown of a gateway with a delayed subscription', async () => {
    await using server = await startPostgres();
    await using database = await openServerDatabase(server.url);
    const app = await startTestApp({ database });
    const ann = await app.createAccount();
    await using socket = await openGraphqlSocket(app.url, { token: ann.token });
    await server.stop();
    socket.send({
      id: '1',
      type: 'subscribe',
      payload: { query: 'subscription { inboxEvents { cursor } }' },
    });
    socket.send({ type: 'ping' });
    await socket.nextOf('pong');
    await app[Symbol.asyncDispose]();
    expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
  }, 60_000);
});

async function terminateConnections({ db }: Database): Promise<void> {
  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
  `.execute(db);
}

/** Sends a message, retrying with one idempotency key until the database is available. */
async function sendWithRetries(account: TestAccount, { id }: Entity, text: string): Promise<void> {
  for (;;) {
    const { errors = [] } = await account.graphql.send(SEND_MESSAGE, { id, text });
    if (errors.length === 0) return;
    expect(errors[0]?.extensions?.['code']).toBe('UNAVAILABLE');
  }
}

function readText({ payload }: Record<string, unknown>): string | undefined {
  const { data } = payload as { data: { conversationEvents: { message?: { text: string } } } };
  return data.conversationEvents.message?.text;
}
