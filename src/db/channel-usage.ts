import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Number of uses of a legacy channel by an account, per day and client library. */
export interface ChannelUse {
  /** `YYYY-MM-DD`, in UTC. */
  readonly day: string;
  readonly channel: string;
  readonly protocol: number;
  readonly library: string;
  /** Topic of the account; empty for unauthenticated clients. */
  readonly account: string;
  readonly uses: number;
}

/** Usage of a channel, or of a client library, over a period. */
export interface UsageSummary {
  /** Distinct accounts. One that used both protocols counts once. */
  readonly accounts: number;
  readonly accountsOfProtocol3: number;
  readonly accountsOfProtocol4: number;
  readonly uses: number;
  readonly lastDay: string;
}

export interface ChannelSummary extends UsageSummary {
  readonly channel: string;
}

export interface ClientSummary extends UsageSummary {
  readonly protocol: number;
  readonly library: string;
}

/** Adds usage counts. Rows are locked in one order, so that nodes cannot deadlock. */
export async function addUsage(db: Db, uses: readonly ChannelUse[]): Promise<void> {
  await sql`
    insert into channel_uses (day, channel, protocol, library, account, uses)
    select day, channel, protocol, library, account, uses
    from unnest(
      ${uses.map(({ day }) => day)}::date[],
      ${uses.map(({ channel }) => channel)}::text[],
      ${uses.map(({ protocol }) => protocol)}::int[],
      ${uses.map(({ library }) => library)}::text[],
      ${uses.map(({ account }) => account)}::text[],
      ${uses.map(({ uses: count }) => count)}::bigint[]
    ) as input (day, channel, protocol, library, account, uses)
    order by 1, 2, 3, 4, 5
    on conflict (day, channel, protocol, library, account)
    do update set uses = channel_uses.uses + excluded.uses
  `.execute(db);
}

const SUMMARY = sql`
  count(distinct nullif(account, '')) as accounts,
  count(distinct nullif(account, '')) filter (where protocol = 3) as accounts_of_protocol3,
  count(distinct nullif(account, '')) filter (where protocol = 4) as accounts_of_protocol4,
  sum(uses)::bigint as uses,
  max(day) as last_day
`;

/** Sums usage since a day by channel, in alphabetical order. */
export async function sumByChannel(db: Db, since: string): Promise<ChannelSummary[]> {
  const { rows } = await sql<ChannelSummary>`
    select channel, ${SUMMARY} from channel_uses where day >= ${since} group by channel order by channel
  `.execute(db);
  return rows;
}

/** Sums usage since a day by client library, most accounts first. */
export async function sumByClient(db: Db, since: string): Promise<ClientSummary[]> {
  const { rows } = await sql<ClientSummary>`
    select protocol, library, ${SUMMARY} from channel_uses where day >= ${since}
    group by protocol, library order by accounts desc, protocol, library
  `.execute(db);
  return rows;
}

/** Returns the first day with usage; null without any. */
export async function firstDay(db: Db): Promise<string | null> {
  const { rows } = await sql<{ day: string | null }>`select min(day) as day from channel_uses`.execute(db);
  return rows[0]?.day ?? null;
}

/** Deletes at most `limit` rows from before a day. Returns the number of deleted rows. */
export async function deleteUsageBefore(db: Db, before: string, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from channel_uses where ctid in (
      select ctid from channel_uses where day < ${before} limit ${limit}
    )
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}
