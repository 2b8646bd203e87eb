import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const channelUses: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`create table channel_uses (
      day date not null,
      channel text not null,
      protocol int not null,
      library text not null,
      account text not null,
      uses bigint not null,
      primary key (day, channel, protocol, library, account)
    )`.execute(db);
  },
};
