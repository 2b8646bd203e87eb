import { sql } from 'kysely';
import type { Db } from '../../src/db/database.ts';

/** Tables that the server writes on its own, or for requests that it rejects: logins, and clients that are connected. */
const OTHER_TABLES: ReadonlySet<string> = new Set([
  'call_participants',
  'calls',
  'channel_uses',
  'known_clients',
  'leases',
  'log_trims',
  'login_failures',
  'media_details',
  'nodes',
  'presence',
  'settings',
  'sweeps',
]);

/** Returns a digest of the rows of each table that operations write: equal if nothing was written in between. */
export async function readDigests(db: Db): Promise<readonly unknown[]> {
  const tables = await sql<{ name: string }>`
    select tablename as name from pg_tables
    where schemaname = 'public' and tablename not like 'kysely%' order by tablename`.execute(db);
  const digests = tables.rows
    .filter(({ name }) => !OTHER_TABLES.has(name))
    .map(
      ({ name }) =>
        // The server also removes participants from calls, and writes events of that.
        sql`select ${name} as name, md5(string_agg(row::text, ',' order by row::text)) as digest
          from ${sql.table(name)} row where row::text not like '(call:%'`,
    );
  return (await sql<object>`${sql.join(digests, sql` union all `)} order by name`.execute(db)).rows;
}
