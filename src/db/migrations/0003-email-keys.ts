import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { emailKey } from '../../text.ts';

const BATCH = 5_000;

/**
 * Gives each user the key of their e-mail. Of two whose e-mails were the same but for their form the older one gets it;
 * the other is still found by the e-mail as it was typed.
 */
export const emailKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table users add column email_key text`.execute(db);
    await sql`create unique index users_email_key on users (email_key)`.execute(db);
    for (let last = 0; ;) {
      const { rows } = await sql<{ id: number; email: string }>`
        select id, email from users where id > ${last} order by id limit ${BATCH}`.execute(db);
      const newest = rows.at(-1)?.id;
      if (newest === undefined) return;
      last = newest;
      const keys = rows.map(({ email }) => emailKey(email));
      await sql`
        update users set email_key = given.key
        from (
          select distinct on (key) id, key
          from unnest(${rows.map(({ id }) => id)}::int[], ${keys}::text[]) as rows (id, key)
          order by key, id
        ) as given
        where users.id = given.id and not exists (select 1 from users as older where older.email_key = given.key)
      `.execute(db);
    }
  },
};
