import { sql } from 'kysely';
import { describe, expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { createGateway } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openTestDatabase } from '../harness/database.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { indexes } from '../harness/numbers.ts';
import { startPgBouncer } from '../harness/pgbouncer.ts';
import { startProgram, waitForOutput } from '../harness/program.ts';

const log = createLogger('silent');

describe.skipIf(inject('database') !== 'postgres' || isMissing('pgbouncer'))('through PgBouncer', () => {
  test('two nodes serve requests, and notify each other past it', async () => {
    const { url = '' } = await openTestDatabase();
    await using pooler = await startPgBouncer(url);
    const env = { DATABASE_URL: pooler.url, DATABASE_LISTEN_URL: url, AUTH_SECRET: 'shared by both nodes' };
    await using one = await createGateway({ env });
    await using two = await createGateway({ env });
    const { ann, conversation } = await createAnnAndBob(one);
    const carl = await two.createAccount();
    await using events = await ann.subscribeToConversation(conversation.id);
    await Promise.all(indexes(20).map((index) => sendMessage(ann, conversation, `text ${index}`)));
    for (const _ of indexes(20)) expect(await events.next()).toMatchObject({ __typename: 'MessageSent' });
    expect(await carl.graphql.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
    for (const node of [one, two]) expect((await fetch(`${node.url}/readyz`)).status).toBe(200);
  });

  test('a conversation that a frozen node has locked can be written', async () => {
    const { url = '' } = await openTestDatabase();
    await using pooler = await startPgBouncer(url);
    const env = { DATABASE_URL: pooler.url, DATABASE_LISTEN_URL: url, AUTH_SECRET: 'shared by both nodes' };
    await using app = await createGateway({ env });
    const { ann, conversation } = await createAnnAndBob(app);
    const statement = `select 1 from topics where topic = 'conversation:${conversation.legacyId}' for update`;
    await using frozen = startProgram(
      [process.execPath, 'test/harness/lock-holder.ts', pooler.url, statement],
      {},
    );
    await waitForOutput(frozen.child, /locked/);
    frozen.child.kill('SIGSTOP');
    await sendMessage(ann, conversation, 'continues');
  });

  test('transactions have limits, and sessions keep none', async () => {
    const { url = '' } = await openTestDatabase();
    await using pooler = await startPgBouncer(url, { poolSize: 1 });
    await using database = await openDatabase({ kind: 'postgres', url: pooler.url, listenUrl: url }, log);
    const readLimit = sql<{ limit: string }>`select current_setting('lock_timeout') as limit`;
    const inTransaction = await database.db.transaction().execute((tx) => readLimit.execute(tx));
    expect(inTransaction.rows).toEqual([{ limit: '5s' }]);
    expect((await readLimit.execute(database.db)).rows).toEqual([{ limit: '0' }]);
  });

  test('no prepared statements remain in its sessions', async () => {
    const { url = '' } = await openTestDatabase();
    await using pooler = await startPgBouncer(url, { poolSize: 1 });
    await using database = await openDatabase({ kind: 'postgres', url: pooler.url, listenUrl: url }, log);
    expect((await sql`select ${1}::int as one`.execute(database.db)).rows).toEqual([{ one: 1 }]);
    expect((await sql`select name from pg_prepared_statements`.execute(database.db)).rows).toEqual([]);
  });
});
