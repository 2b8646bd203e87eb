import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  sql`create table settings (name text primary key, value text not null)`,
  sql`create table users (
    id int generated always as identity primary key,
    email text not null,
    password_hash text,
    subject text unique,
    sessions_since timestamptz(3),
    first_name text not null,
    last_name text not null,
    birthday date,
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create unique index users_email on users (lower(email))`,
  sql`create table circles (
    id int generated always as identity primary key,
    name text not null,
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create table devices (
    id int generated always as identity primary key,
    circle_id int not null unique references circles on delete cascade,
    name text not null,
    username text not null unique,
    password_hash text not null,
    activated boolean not null default true,
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create table memberships (
    id int generated always as identity primary key,
    circle_id int not null references circles on delete cascade,
    user_id int not null references users on delete cascade,
    role text not null check (role in ('ADMIN', 'MEMBER')),
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp(),
    unique (circle_id, user_id)
  )`,
  sql`create index memberships_user on memberships (user_id)`,
  sql`create table invitations (
    id int generated always as identity primary key,
    circle_id int not null references circles on delete cascade,
    user_id int not null references users on delete cascade,
    invited_by_id int references users on delete set null,
    created_at timestamptz(3) not null default clock_timestamp(),
    unique (circle_id, user_id)
  )`,
  sql`create index invitations_user on invitations (user_id)`,
  sql`create index invitations_invited_by on invitations (invited_by_id)`,
  sql`create table conversations (
    id int generated always as identity primary key,
    circle_id int not null references circles on delete cascade,
    name text not null,
    device_access boolean not null default false,
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create index conversations_circle on conversations (circle_id)`,
  sql`create table participants (
    id int generated always as identity primary key,
    conversation_id int not null references conversations on delete cascade,
    user_id int not null references users on delete cascade,
    role text not null check (role in ('ADMIN', 'STANDARD')),
    created_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp(),
    unique (conversation_id, user_id)
  )`,
  sql`create index participants_user on participants (user_id)`,
  sql`create table messages (
    id int generated always as identity primary key,
    conversation_id int not null references conversations on delete cascade,
    author_user_id int references users on delete set null,
    author_device_id int references devices on delete set null,
    participant_id int,
    text text not null,
    status text not null check (status in ('PENDING', 'DONE')),
    media_count int not null,
    sent_at timestamptz(3) not null default clock_timestamp(),
    updated_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create index messages_conversation on messages (conversation_id, id)`,
  sql`create index messages_author_user on messages (author_user_id)`,
  sql`create index messages_author_device on messages (author_device_id)`,
  sql`create table media (
    id int generated always as identity primary key,
    message_id int not null references messages on delete cascade,
    identifier text not null,
    filename text,
    extension text,
    content_type text,
    size bigint,
    storage_name text,
    uploaded_at timestamptz(3)
  )`,
  sql`create index media_message on media (message_id, id)`,
  sql`create index media_storage_name on media (storage_name) where storage_name is not null`,
  sql`create table unused_files (storage_name text primary key)`,
  // A trigger, because media rows are also deleted by cascade from messages, conversations and circles.
  sql`create function note_unused_file() returns trigger language plpgsql as $$
    begin
      insert into unused_files values (old.storage_name) on conflict do nothing;
      return null;
    end
  $$`,
  sql`create trigger media_removed after delete on media
    for each row when (old.storage_name is not null) execute function note_unused_file()`,
  sql`create trigger media_replaced after update of storage_name on media
    for each row when (old.storage_name is distinct from new.storage_name and old.storage_name is not null)
    execute function note_unused_file()`,
  sql`create table idempotency_keys (
    account text not null,
    key text not null,
    message_id int not null,
    created_at timestamptz(3) not null default clock_timestamp(),
    primary key (account, key)
  )`,
  sql`create index idempotency_keys_created_at on idempotency_keys (created_at)`,
  sql`create table topics (
    topic text collate "C" primary key,
    head bigint not null default 0,
    trimmed bigint not null default 0
  )`,
  sql`create table events (
    topic text collate "C" not null,
    seq bigint not null,
    event json not null,
    at timestamptz(3) not null,
    primary key (topic, seq)
  )`,
  sql`create index events_at on events (at)`,
  sql`create table revoked_tokens (token_id text primary key, expires_at timestamptz(3) not null)`,
  sql`create index revoked_tokens_expires_at on revoked_tokens (expires_at)`,
  sql`create table nodes (id text primary key, seen_at timestamptz(3) not null default clock_timestamp())`,
  sql`create table leases (
    id bigint generated always as identity primary key,
    node_id text not null references nodes on delete cascade,
    kind text not null check (kind in ('graphql', 'signals', 'legacy')),
    actor_kind text not null check (actor_kind in ('user', 'device')),
    actor_id int not null,
    closed_at timestamptz(3)
  )`,
  sql`create index leases_actor on leases (actor_kind, actor_id, id)`,
  sql`create index leases_node on leases (node_id)`,
  sql`create table presence (
    actor_kind text not null check (actor_kind in ('user', 'device')),
    actor_id int not null,
    online boolean not null,
    primary key (actor_kind, actor_id)
  )`,
];

export const initial: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of statements) await statement.execute(db);
    await sql`insert into settings values ('epoch', ${crypto.randomUUID().slice(0, 8)})`.execute(db);
  },
};
