import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const STATEMENTS = [
  // The address as the inviter wrote it; null in the rows of older nodes.
  sql`alter table invitations add column email text`,
  // The address that the account has proved to own: it is verified while both are equal, whichever node changes it.
  sql`alter table users
    add column verified_email text,
    add column blocks_invitations boolean not null default false`,
  // One sequence for both tables: an invitation keeps its id when it is delivered.
  sql`create table held_invitations (
    id int primary key default nextval('invitations_id_seq'),
    circle_id int not null references circles on delete cascade,
    invited_by_id int references users on delete set null,
    email text not null,
    email_key text not null,
    created_at timestamptz(3) not null default clock_timestamp(),
    unique (circle_id, email_key)
  )`,
  sql`create index held_invitations_email_key on held_invitations (email_key)`,
  sql`create index held_invitations_invited_by on held_invitations (invited_by_id)`,
  sql`create table invitation_blocks (
    user_id int not null references users on delete cascade,
    inviter_id int not null references users on delete cascade,
    created_at timestamptz(3) not null default clock_timestamp(),
    primary key (user_id, inviter_id)
  )`,
  sql`create index invitation_blocks_inviter on invitation_blocks (inviter_id)`,
  sql`create table hourly_counts (
    subject text not null,
    hour timestamptz(3) not null,
    count int not null,
    primary key (subject, hour)
  )`,
  sql`create index hourly_counts_hour on hourly_counts (hour)`,
  sql`create table email_verifications (
    user_id int primary key references users on delete cascade,
    email text not null,
    token_hash text not null,
    expires_at timestamptz(3) not null
  )`,
];

/** Adds invitations that are not delivered yet, blocks of inviters, counts per hour, and verified e-mails. */
export const heldInvitations: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};
