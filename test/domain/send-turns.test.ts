import { sql } from 'kysely';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { ROUND_TRIPS } from '../../scripts/simulation/cluster.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import * as messages from '../../src/domain/messages.ts';
import type { SendInput } from '../../src/domain/messages.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { markRead } from '../../src/domain/read-state.ts';
import { OutcomeUnknownError } from '../../src/errors.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { Topic } from '../../src/events/event.ts';
import type { ConversationId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createSession,
  createUsers,
  readEvents,
} from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { openTurnProxy } from '../harness/turn-proxy.ts';

async function seed(deps: Deps) {
  const [ann] = await createUsers(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const conversation = await createConversation(deps, circle, ann);
  return { ann, circle, conversationId: conversation.id, topic: conversationTopic(conversation.id) };
}

/** Creates dependencies whose statements go through a proxy. */
async function createProxiedDeps() {
  await using stack = new AsyncDisposableStack();
  const { url = '' } = await openTestDatabase();
  const proxy = stack.use(await openTurnProxy(url));
  // With one connection, no statement has to open another.
  const options = { kind: 'postgres', url: proxy.url, listenUrl: url, poolSize: 1 } as const;
  const { db } = stack.use(await openDatabase(options, createLogger('silent')));
  const deps = stack.use(await createTestDeps({ wrapDb: () => db }));
  const owned = stack.move();
  return { proxy, deps, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function recordSent(deps: Deps, topic: Topic): string[] {
  const texts: string[] = [];
  deps.bus.subscribe(topic, (notice) => {
    if (notice.kind === 'event' && notice.envelope.event.type === 'message.sent')
      texts.push(notice.envelope.event.message.text);
  });
  return texts;
}

const SENDS: Record<string, Omit<SendInput, 'conversationId'>> = {
  'a text': { text: 'hello' },
  'a text with a key': { text: 'hello', idempotencyKey: 'a key' },
  files: { files: ['a.png', 'b.png'] },
  'files with a key': { files: ['a.png'], text: 'see this', idempotencyKey: 'a key' },
};

describe.skipIf(inject('database') !== 'postgres')('turns to the database', () => {
  test.each(Object.entries(SENDS))('a send of %s takes two', async (_, input) => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, circle, conversationId } = await seed(deps);
    const device = await createDevice(deps, circle, ann);
    const session = createSession(ann.actor);
    proxy.turns = 0;
    await messages.sendMessage(deps, ann.actor, { ...input, conversationId, session });
    expect(proxy.turns).toBe(2);
    await messages.sendMessage(deps, device, { ...input, conversationId }).catch(() => undefined);
    expect(proxy.turns).toBe(4);
  });

  test('a read mark takes two, and one of a message that was read already takes no more', async () => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, conversationId } = await seed(deps);
    const { message } = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
    for (const _ of ['first', 'repeated']) {
      proxy.turns = 0;
      await markRead(deps, ann.actor, { conversationId, messageId: message.id });
      expect(proxy.turns).toBe(2);
    }
  });

  test('a batch of sends to several conversations takes as many as in the simulation', async () => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, circle, conversationId } = await seed(deps);
    const other = await createConversation(deps, circle, ann);
    const device = await createDevice(deps, circle, ann);
    proxy.turns = 0;
    await Promise.all(
      indexes(60).map((number) =>
        messages
          .sendMessage(deps, number % 5 === 0 ? device : ann.actor, {
            conversationId: number % 3 === 0 ? conversationId : other.id,
            text: String(number),
            files: number % 4 === 0 ? ['a.png'] : [],
            idempotencyKey: number % 2 === 0 ? String(number) : null,
          })
          .catch(() => undefined),
      ),
    );
    expect(proxy.turns).toBe(ROUND_TRIPS);
  });

  test('a connection that is lost before the last turn loses nothing', async () => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, conversationId, topic } = await seed(deps);
    const sent = recordSent(deps, topic);
    proxy.loseAt(1, 'before the request');
    await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
    proxy.loseAt(1, 'before the response');
    await messages.sendMessage(deps, ann.actor, { conversationId, text: 'again' });
    expect(sent).toEqual(['hello', 'again']);
  });

  test('a send whose connection is lost in the last turn is not acknowledged, published or repeated', async () => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, conversationId, topic } = await seed(deps);
    const sent = recordSent(deps, topic);
    const send = (text: string) => messages.sendMessage(deps, ann.actor, { conversationId, text });
    proxy.loseAt(2, 'before the request');
    await expect(send('not received')).rejects.toThrow(OutcomeUnknownError);
    // Connects again.
    await readEvents(deps, topic);
    proxy.loseAt(2, 'before the response');
    await expect(send('not confirmed')).rejects.toThrow(OutcomeUnknownError);
    expect(sent).toEqual([]);
    await send('later');
    expect(sent).toEqual(['later']);
    expect(await readTexts(deps)).toEqual(['not confirmed', 'later']);
  });

  test('a send whose connection is lost behind the confirmation of the commit is acknowledged and published', async () => {
    await using proxied = await createProxiedDeps();
    const { deps, proxy } = proxied;
    const { ann, conversationId, topic } = await seed(deps);
    const sent = recordSent(deps, topic);
    proxy.loseAt(2, 'within the response');
    await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
    expect(sent).toEqual(['hello']);
    expect(await readTexts(deps)).toEqual(['hello']);
  });

  // Codes of a shutdown, of time-outs of an idle transaction and of a statement, and of a serialisation failure.
  test.each([
    ['57P01', { continues: false }],
    ['25P03', { continues: false }],
    ['57014', { continues: false }],
    ['40001', { continues: false }],
    ['58000', { continues: true }],
  ] as const)(
    'sends whose last turn fails with %s of a pooler (%o) are unavailable, and not repeated',
    async (sqlState, options) => {
      await using proxied = await createProxiedDeps();
      const { deps, proxy } = proxied;
      const { ann, circle, conversationId, topic } = await seed(deps);
      const other = await createConversation(deps, circle, ann);
      const sent = recordSent(deps, topic);
      const send = (id: ConversationId, text: string, idempotencyKey?: string) =>
        messages.sendMessage(deps, ann.actor, { conversationId: id, text, idempotencyKey });
      proxy.failAt(2, sqlState, options);
      const errors = await Promise.allSettled([send(conversationId, '1'), send(other.id, '2', 'a key')]);
      for (const error of errors) expect(error).toMatchObject({ reason: expect.any(OutcomeUnknownError) });
      expect(sent).toEqual([]);
      const repeated = await send(other.id, '2', 'a key');
      expect(repeated.message.text).toBe('2');
      expect(await readTexts(deps)).toEqual(['1', '2']);
    },
  );
});

async function readTexts({ db }: Deps): Promise<string[]> {
  const stored = await db.selectFrom('messages').select('text').orderBy('id').execute();
  return stored.map(({ text }) => text);
}

const reverts: string[] = [];

afterEach(async () => {
  const { db } = await openTestDatabase();
  for (const statement of reverts.splice(0)) await sql.raw(statement).execute(db);
});

/** Makes a statement fail until the end of the test. */
async function failOn(db: Db, table: string, trigger: string): Promise<void> {
  reverts.push(`drop trigger fails on ${table}`, 'drop function fail');
  const fail = `create function fail() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$`;
  await sql.raw(fail).execute(db);
  await sql.raw(`create ${trigger} for each row execute function fail()`).execute(db);
}

const DEFERRED = 'deferrable initially deferred';

test.each([
  ['the claim of the key', 'idempotency_keys', 'trigger fails before insert on idempotency_keys'],
  ['the insert of the message', 'messages', 'trigger fails before insert on messages'],
  ['the insert of its media', 'media', 'trigger fails before insert on media'],
  ['the insert of the event', 'events', 'trigger fails before insert on events'],
  ['the new head of the topic', 'topics', 'trigger fails before update on topics'],
  ['the commit', 'messages', `constraint trigger fails after insert on messages ${DEFERRED}`],
])('a send that fails at %s is not acknowledged, stored or published', async (_, table, trigger) => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seed(deps);
  const before = await readEvents(deps, topic);
  const sent = recordSent(deps, topic);
  const send = () =>
    messages.sendMessage(deps, ann.actor, {
      conversationId,
      text: 'hello',
      files: ['a.png'],
      idempotencyKey: 'a key',
    });
  await failOn(deps.db, table, trigger);
  await expect(Promise.all([send(), send()])).rejects.toThrow('broken');
  expect(sent).toEqual([]);
  expect(await readEvents(deps, topic)).toEqual(before);
  for (const emptied of ['messages', 'media', 'idempotencyKeys'] as const)
    expect(
      await deps.db
        .selectFrom(emptied)
        .select(sql`1`.as('one'))
        .execute(),
    ).toEqual([]);
});

test('a send that fails at the reservation of its id is not acknowledged, stored or published', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seed(deps);
  const send = (text: string) => messages.sendMessage(deps, ann.actor, { conversationId, text });
  await send('first');
  const { message } = await send('second');
  const sent = recordSent(deps, topic);
  await sql.raw(`alter sequence messages_id_seq maxvalue ${message.id}`).execute(deps.db);
  reverts.push('alter sequence messages_id_seq no maxvalue');
  await expect(send('third')).rejects.toThrow('messages_id_seq');
  expect(sent).toEqual([]);
  expect(await readEvents(deps, topic)).toHaveLength(3);
});
