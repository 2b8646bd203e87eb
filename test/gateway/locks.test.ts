import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, test, vi } from 'vitest';
import { touchNode } from '../../src/db/nodes.ts';
import { createConversation } from '../../src/testing/index.ts';
import type { Entity } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { indexes } from '../harness/numbers.ts';
import { startProgram, waitForOutput } from '../harness/program.ts';

const RENAME = `mutation ($id: ID!, $name: String!) {
  updateConversation(conversationId: $id, name: $name) { name }
}`;
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

const topicOf = ({ legacyId }: Entity): string => `conversation:${legacyId}`;

const lockTopics = (url: string, ...topics: readonly string[]) =>
  lockRows(url, `select 1 from topics where topic in (${topics.map(pg.escapeLiteral).join()}) for update`);

type Responses = readonly {
  readonly errors?: readonly { readonly extensions?: Record<string, unknown> }[];
}[];

const codesOf = (responses: Responses) =>
  new Set(responses.map(({ errors = [] }) => errors[0]?.extensions?.['code']));

/** On a busy machine the time-out of a change may pass before the test has released the lock. */
function expectSuccessOrTimeout(responses: Responses): void {
  for (const code of codesOf(responses)) expect([undefined, 'UNAVAILABLE']).toContain(code);
}

describe.skipIf(inject('database') !== 'postgres')('while a conversation is locked', () => {
  test('forty changes of it hold up no other request, readiness and heartbeat', async () => {
    const database = await openTestDatabase();
    const { url = '', control } = database;
    await using app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
    const { ann, bob, circle, conversation } = await createAnnAndBob(app);
    const other = await createConversation(ann, circle, bob);
    await using lock = await lockTopics(url, topicOf(conversation));
    const changes = indexes(40).map((index) =>
      ann.graphql.send(RENAME, { id: conversation.id, name: `name ${index}` }),
    );
    await vi.waitFor(async () => expect(await countLockWaits(control)).toBe(1), { timeout: 5_000 });

    for (const text of ['one', 'two', 'three']) {
      await sendMessage(bob, other, text);
      await ann.graphql.run(RENAME, { id: other.id, name: text });
      await bob.graphql.run('{ me { __typename } }');
      expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
    }
    const { rows } = await sql<{ id: string }>`select id from nodes`.execute(control);
    expect(await touchNode(control, rows[0]?.id ?? '')).toBeTypeOf('number');
    expect(await countLockWaits(control)).toBe(1);
    await lock.release();
    expectSuccessOrTimeout(await Promise.all(changes));
    await ann.graphql.run(RENAME, { id: conversation.id, name: 'after' });
  });

  test('changes of thirty locked conversations leave connections for other requests', async () => {
    const database = await openTestDatabase();
    const { url = '', control } = database;
    await using app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
    const { ann, bob, circle, conversation: other } = await createAnnAndBob(app);
    const locked = await Promise.all(indexes(30).map(() => createConversation(ann, circle, bob)));
    await using _lock = await lockTopics(url, ...locked.map(topicOf));
    const changes = locked.map(({ id }) => ann.graphql.send(RENAME, { id, name: 'changed' }));
    await vi.waitFor(async () => expect(await countLockWaits(control)).toBe(5), { timeout: 5_000 });
    for (const text of ['one', 'two', 'three']) {
      await sendMessage(bob, other, text);
      await ann.graphql.run(RENAME, { id: other.id, name: text });
    }
    expect(codesOf(await Promise.all(changes))).toEqual(new Set(['UNAVAILABLE']));
  });

  test('sends to it wait, and those to other conversations do not', async () => {
    const database = await openTestDatabase();
    const { url = '' } = database;
    await using app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
    const { ann, bob, circle, conversation } = await createAnnAndBob(app);
    const other = await createConversation(ann, circle, bob);
    await using events = await bob.subscribeToConversation(conversation.id);
    await using lock = await lockTopics(url, topicOf(conversation));
    const waiting = [];
    for (const text of ['one', 'two', 'three', 'four']) {
      waiting.push(ann.graphql.send(SEND, { id: conversation.id, text }));
      await Promise.all(indexes(5).map(() => sendMessage(bob, other, text)));
    }
    expect(events.pending()).toEqual([]);
    await lock.release();
    const results = await Promise.all(waiting);
    const sent = ['one', 'two', 'three', 'four'].filter((_, index) => results[index]?.errors === undefined);
    for (const text of sent) expect(await events.next()).toMatchObject({ message: { text } });
    expectSuccessOrTimeout(results);
    await sendMessage(ann, conversation, 'last');
    expect(await events.next()).toMatchObject({ message: { text: 'last' } });
  });

  test('clients connect to a node whose row is locked', async () => {
    const database = await openTestDatabase();
    const { url = '' } = database;
    await using app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    await using _lock = await lockRows(url, 'select 1 from nodes for update');
    await using events = await bob.subscribeToConversation(conversation.id);
    await using legacy = await ann.connectLegacy();
    await legacy.push('join_conversation', { conversation_id: conversation.legacyId });
    await sendMessage(ann, conversation, 'delivered');
    expect(await events.next()).toMatchObject({ message: { text: 'delivered' } });
    expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
  });

  test('a lock of another row of one conversation does not fail the sends of its batch', async () => {
    const database = await openTestDatabase();
    const { url = '' } = database;
    await using app = await startTestApp({ database, env: { RATE_LIMITS: 'off' } });
    const { ann, bob, circle, conversation } = await createAnnAndBob(app);
    const others = await Promise.all(indexes(3).map(() => createConversation(ann, circle, bob)));
    await using lock = await lockRows(
      url,
      `select 1 from conversations where id = ${conversation.legacyId} for update`,
    );
    const waiting = ann.graphql.send(SEND, { id: conversation.id, text: 'waits' });
    await Promise.all(others.map((other) => sendMessage(bob, other, 'sent')));
    await lock.release();
    expectSuccessOrTimeout([await waiting]);
  });
});

describe.skipIf(inject('database') !== 'postgres')('while a node is frozen in a transaction', () => {
  /** Starts a node that runs the statement in a transaction and is then stopped by the operating system. */
  async function freezeNode(url: string, statement: string) {
    const program = startProgram([process.execPath, 'test/harness/lock-holder.ts', url, statement], {});
    await waitForOutput(program.child, /locked/);
    program.child.kill('SIGSTOP');
    return program;
  }

  test('the conversations that it has locked can be written', async () => {
    const database = await openTestDatabase();
    const { url = '' } = database;
    await using app = await startTestApp({ database });
    const { ann, conversation } = await createAnnAndBob(app);
    await using _frozen = await freezeNode(
      url,
      `select 1 from topics where topic = '${topicOf(conversation)}' for update`,
    );
    await sendMessage(ann, conversation, 'continues');
    await ann.graphql.run(RENAME, { id: conversation.id, name: 'continues' });
  });

  test('accounts can connect whose presence it has locked', async () => {
    const database = await openTestDatabase();
    const { url = '' } = database;
    await using app = await startTestApp({ database });
    const ann = await app.createAccount();
    await ann.connectLegacy();
    await using _frozen = await freezeNode(url, 'select 1 from presence for update');
    await ann.connectLegacy();
  });
});
