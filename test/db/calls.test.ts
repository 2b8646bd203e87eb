import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { findConversationsWithExpired } from '../../src/db/calls.ts';
import { openTestDatabase } from '../harness/database.ts';

const NODE = 'this node';

test('a round reads the participants of calls, and of their access what is due: not that of all accounts', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const statements = [
    `insert into circles (name) values ('circle')`,
    `insert into users (email, first_name, last_name) select i, 'A', 'B' from generate_series(1, 5000) i`,
    `insert into conversations (circle_id, name) select 1, '' from generate_series(1, 5000) i`,
    `insert into participants (conversation_id, user_id, role) select i, i, 'STANDARD' from generate_series(1, 5000) i`,
    `insert into calls (conversation_id) select i from generate_series(1, 2000) i`,
    `insert into call_participants (call_id, actor_kind, actor_id, is_legacy, node_id, expires_at)
      select i, 'user', i, false, '${NODE}', clock_timestamp() + interval '1 hour' from generate_series(1, 2000) i`,
    'analyze',
    // Two whose access has ended, on this node and on another one, and one that has expired there.
    'delete from participants where user_id in (1, 2)',
    `update call_participants set node_id = 'another node' where actor_id in (2, 3)`,
    'update call_participants set expires_at = joined_at where actor_id = 3',
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
  await db.transaction().execute(async (tx) => {
    const countScans = async () => {
      const { rows } = await sql<{ scans: number }>`
        select seq_scan::int as scans from pg_stat_xact_user_tables where relname = 'participants'
      `.execute(tx);
      return rows[0]?.scans;
    };
    const scans = await countScans();
    expect(new Set(await findConversationsWithExpired(tx, NODE, 10))).toEqual(new Set([1, 3]));
    expect(await countScans()).toBe(scans);
  });
});
