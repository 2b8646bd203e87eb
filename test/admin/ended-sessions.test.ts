import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, test, vi } from 'vitest';
import { createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { createOperator } from '../harness/operator.ts';

const BLOCK = 'mutation ($id: ID!) { blockAccount(accountId: $id, reason: "spam") { id } }';
const END_CONNECTIONS = 'mutation ($id: ID!) { endAccountConnections(accountId: $id) { count } }';
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const GRANT = 'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }';
const EVENTS = 'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename } }';

async function createFixture() {
  const database = await openTestDatabase();
  const app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
  return { database, app, operator: createOperator(app.url), ...(await createAnnAndBob(app)) };
}

const lockConversation = (url = '', { legacyId }: Entity) =>
  lockRows(
    url,
    `select 1 from topics where topic = ${pg.escapeLiteral(`conversation:${legacyId}`)} for update`,
  );

describe.skipIf(inject('database') !== 'postgres')('while a conversation is locked', () => {
  test('a session that ends while its connection is being ended receives nothing more', async () => {
    const { database, app, operator, ann, bob, circle, conversation } = await createFixture();
    await using _app = app;
    const locked = await createConversation(ann, circle, bob);
    await using socket = await openGraphqlSocket(app.url, { token: ann.token });
    const subscribe = (id: string, query: string, variables: object) =>
      socket.send({ id, type: 'subscribe', payload: { query, variables } });
    subscribe('events', EVENTS, { id: conversation.id });
    await socket.nextOf('next');
    await using _lock = await lockConversation(database.url, locked);
    subscribe('held', SEND, { id: locked.id, text: 'held' });
    await vi.waitFor(async () => expect(await countLockWaits(database.control)).toBe(1), { timeout: 5_000 });
    await operator.run(END_CONNECTIONS, { id: ann.id });
    await operator.run(BLOCK, { id: ann.id });
    await sendMessage(bob, conversation, 'after the block');
    expect(await socket.waitForClose()).toEqual({ code: 4401, reason: 'LOGGED_OUT' });
    expect(socket.pending()).toMatchObject([
      { id: 'events', type: 'error', payload: [{ extensions: { reason: 'LOGGED_OUT' } }] },
    ]);
  });

  test('a send that has waited for it is refused once the session has ended, and others are sent', async () => {
    const { database, app, operator, ann, bob, circle, conversation } = await createFixture();
    await using _app = app;
    const device = await createDevice(app, ann, circle);
    await ann.graphql.run(GRANT, { id: conversation.id });
    await using lock = await lockConversation(database.url, conversation);
    const sends = [ann, bob, device].map(({ graphql }) =>
      graphql.send(SEND, { id: conversation.id, text: 'held' }),
    );
    await vi.waitFor(async () => expect(await countLockWaits(database.control)).toBe(1), { timeout: 5_000 });
    for (const { id } of [ann, device]) await operator.run(BLOCK, { id });
    await lock.release();
    const codes = (await Promise.all(sends)).map(({ errors }) => errors?.[0]?.extensions?.['code']);
    expect(codes).toEqual(['UNAUTHENTICATED', undefined, 'UNAUTHENTICATED']);
    const { rows } = await sql<{ author: number }>`select author_user_id as author from messages`.execute(
      database.control,
    );
    expect(rows).toEqual([{ author: bob.legacyId }]);
  });
});

const LATE = 'createCircle(name: "Late") { name }';
const LOGOUT_FIRST = `mutation { logoutEverywhere ${LATE} }`;

test('a mutation of an operation is refused once an earlier one has ended the session', async () => {
  const { database, app, ann, bob } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: bob.token });
  expect(await ann.graphql.expectError(LOGOUT_FIRST)).toBe('UNAUTHENTICATED');
  socket.send({ id: '1', type: 'subscribe', payload: { query: LOGOUT_FIRST } });
  expect(await socket.nextOf('next')).toMatchObject({
    payload: { data: null, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
  });
  const { rows } = await sql`select name from circles where name = 'Late'`.execute(database.control);
  expect(rows).toEqual([]);
});

test('a mutation that needs no session continues after one that has ended it', async () => {
  const { app } = await createFixture();
  await using _app = app;
  const zoe = await app.createAccount({ password: 'correct horse' });
  const query =
    'mutation ($email: String!) { logoutEverywhere login(email: $email, password: "correct horse") { token } }';
  expect(await zoe.graphql.run(query, { email: zoe.login })).toMatchObject({ logoutEverywhere: true });
});
