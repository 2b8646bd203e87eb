import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const STATEMENTS = [
  // Tokens of an earlier generation are rejected, but for the one that was kept at the last change. An exact count
  // beside `sessions_since`, whose clock cannot order a token and a change of the same second.
  sql`alter table users
    add column session_generation int not null default 0,
    add column kept_token_id text,
    add column external_tokens_since timestamptz(3)`,
  sql`alter table devices
    add column session_generation int not null default 0,
    add column kept_token_id text`,
  sql`create table refreshed_tokens (
    token_id text primary key,
    refreshed_at timestamptz(3) not null default clock_timestamp(),
    expires_at timestamptz(3) not null
  )`,
  sql`create index refreshed_tokens_expires_at on refreshed_tokens (expires_at)`,
  sql`create table deleted_subjects (
    subject_hash text primary key,
    deleted_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create table login_failures (
    subject text primary key,
    failures int not null,
    last_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create index login_failures_last_at on login_failures (last_at)`,
  sql`create table known_clients (
    account text not null,
    client text not null,
    seen_at timestamptz(3) not null default clock_timestamp(),
    primary key (account, client)
  )`,
  sql`create index known_clients_seen_at on known_clients (seen_at)`,
];

/** Adds what ends sessions (generations, refreshed tokens, deleted subjects), and what counts failed logins. */
export const sessions: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};
