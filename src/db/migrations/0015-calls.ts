import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Adds calls in progress, and who takes part in them. */
export const calls: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};

const STATEMENTS = [
  sql`create table calls (
    id int generated always as identity primary key,
    conversation_id int not null unique references conversations on delete cascade,
    started_at timestamptz(3) not null default clock_timestamp()
  )`,
  // Accounts and nodes have no foreign key: their end is an event of the call, and must not lock their rows.
  sql`create table call_participants (
    id int generated always as identity primary key,
    call_id int not null references calls on delete cascade,
    actor_kind text not null check (actor_kind in ('user', 'device')),
    actor_id int not null,
    is_legacy boolean not null,
    idempotency_key text,
    node_id text not null,
    joined_at timestamptz(3) not null default clock_timestamp(),
    expires_at timestamptz(3) not null
  )`,
  sql`create index call_participants_call on call_participants (call_id)`,
  sql`create index call_participants_actor on call_participants (actor_kind, actor_id)`,
];
