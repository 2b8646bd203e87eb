import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds whether participants of a conversation see how far the others have read, and the position up to which each has read
 * privately: that of the time when receipts were turned on, or of joining. Receipts are off, so the default of existing rows
 * is not read.
 */
export const readReceipts: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};

const STATEMENTS = [
  sql`alter table participants add column private_read_id int not null default 0`,
  sql`alter table conversations
    add column read_receipts boolean not null default false,
    add column device_private_read_id int not null default 0`,
  // The functions of the triggers, because nodes of the former release add participants and give devices access, too.
  sql`create or replace function start_reading() returns trigger language plpgsql as $$
    begin
      new.last_read_id := coalesce(
        (select max(id) from messages where conversation_id = new.conversation_id), 0
      );
      new.private_read_id := new.last_read_id;
      return new;
    end
  $$`,
  sql`create or replace function start_device_reading() returns trigger language plpgsql as $$
    begin
      new.device_last_read_id := coalesce(
        (select max(id) from messages where conversation_id = new.id), 0
      );
      new.device_last_read_at := null;
      new.device_private_read_id := new.device_last_read_id;
      return new;
    end
  $$`,
];
