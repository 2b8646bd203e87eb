import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds the position up to which each participant, and the device of each circle, has read a conversation. All messages that
 * exist now count as read: their newest id is the default of the existing rows, which PostgreSQL stores once and does not
 * write to the rows.
 */
export const readState: Migration = {
  async up(db: Kysely<unknown>) {
    // Excludes sends in flight, whose messages the newest id would not include.
    await sql`lock table conversations, participants in access exclusive mode`.execute(db);
    const { rows } = await sql<{ id: number }>`select coalesce(max(id), 0) as id from messages`.execute(db);
    const newestId = sql.lit(rows[0]?.id ?? 0);
    await sql`alter table participants
      add column last_read_id int not null default ${newestId},
      add column last_read_at timestamptz`.execute(db);
    await sql`alter table conversations
      add column device_last_read_id int not null default ${newestId},
      add column device_last_read_at timestamptz`.execute(db);
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};

const STATEMENTS = [
  sql`alter table participants alter column last_read_id set default 0`,
  sql`alter table conversations alter column device_last_read_id set default 0`,
  // Triggers, because nodes of the former release add participants and give devices access, too.
  sql`create function start_reading() returns trigger language plpgsql as $$
    begin
      new.last_read_id := coalesce(
        (select max(id) from messages where conversation_id = new.conversation_id), 0
      );
      return new;
    end
  $$`,
  sql`create trigger participants_start_reading before insert on participants
    for each row execute function start_reading()`,
  sql`create function start_device_reading() returns trigger language plpgsql as $$
    begin
      new.device_last_read_id := coalesce(
        (select max(id) from messages where conversation_id = new.id), 0
      );
      new.device_last_read_at := null;
      return new;
    end
  $$`,
  sql`create trigger conversations_start_device_reading before update of device_access on conversations
    for each row when (new.device_access and not old.device_access) execute function start_device_reading()`,
];
