import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { MIGRATIONS, migrate } from '../../src/db/migrate.ts';
import { createPartitions } from '../../src/db/log-partitions.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createLogger } from '../../src/log.ts';
import { startPostgres } from '../harness/postgres.ts';

/** Inserts events as nodes of version 0007 do. */
const insertEvents = (db: Kysely<Tables>, seq: number) =>
  sql`
  insert into events (topic, seq, event, at, message_id)
  select 'conversation:' || number, ${seq}::bigint, '{}', clock_timestamp(), number from generate_series(1, 3) as number
`.execute(db);

test.runIf(inject('database') === 'postgres')(
  'an existing log becomes a partition without being copied, and nodes of the former version continue',
  async () => {
    await using server = await startPostgres();
    const pool = new pg.Pool({ connectionString: server.url });
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
    try {
      const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
      const { error } = await migrator.migrateTo('0007-uploads');
      expect(error).toBeUndefined();
      await insertEvents(db, 1);
      const fileOf = async (table: string) =>
        (await sql<{ path: string }>`select pg_relation_filepath(${table}) as path`.execute(db)).rows;
      const file = await fileOf('events');
      const log = createLogger('silent');
      await migrate(db, { log });
      expect(await fileOf('events_legacy')).toEqual(file);

      await insertEvents(db, 2);
      const { rows } = await sql`
        select regexp_replace(tableoid::regclass::text, '\\d+$', 'TIME') as name, seq::int, xid is null as "isOld", count(*)::int as count
        from events group by 1, 2, 3 order by seq
      `.execute(db);
      expect(rows).toEqual([
        { name: 'events_legacy', seq: 1, isOld: true, count: 3 },
        { name: 'events_TIME', seq: 2, isOld: false, count: 3 },
      ]);
      // Statements about recent transactions do not read the old events.
      const plan = await sql<{ 'QUERY PLAN': string }>`
        explain select from events where xid >= '1'::xid8
      `.execute(db);
      expect(JSON.stringify(plan.rows)).not.toContain('events_legacy');
      // Whatever the retention is, those partitions remain, and are those of the present.
      const listPartitions = async () =>
        (
          await sql`select inhrelid::regclass from pg_inherits where inhparent = 'events'::regclass`.execute(
            db,
          )
        ).rows;
      const partitions = await listPartitions();
      for (const days of [1, 7, 90]) expect(await createPartitions(db, days)).toBeUndefined();
      expect((await listPartitions()).slice(0, partitions.length)).toEqual(partitions);
    } finally {
      await db.destroy();
    }
  },
);
