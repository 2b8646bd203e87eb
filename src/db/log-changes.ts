// Comparisons of the log: what was appended since a node last looked, and whether an earlier state was restored meanwhile.
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { readServerOrigin, renewEpochOfRestore, renewEpochOnce } from './epoch.ts';

/** The state of the log at a comparison. */
export interface LogSnapshot {
  /** The transactions that had ended, as PostgreSQL writes a `pg_snapshot`. */
  readonly transactions: string;
  /** Identifies the server and its start. Snapshots of different servers cannot be compared. */
  readonly server: string;
  /**
   * The newest append that is known; null if there is none. Unlike other transactions that have an id, that of an append
   * survives a crash of the server, and is lost only when an earlier state is restored.
   */
  readonly lastAppend: Append | null;
}

/** An event of the log, and the transaction that appended it. */
export interface Append {
  readonly transaction: string;
  readonly topic: string;
  readonly seq: number;
}

/** The heads of all topics to which transactions appended between two snapshots. */
export interface LogChanges {
  readonly snapshot: LogSnapshot;
  readonly epoch: string;
  readonly heads: ReadonlyMap<string, number>;
}

export async function readChanges(db: Db, since: LogSnapshot | undefined): Promise<LogChanges> {
  // Transactions that are in the new snapshot and were not in the former: those that were running (`xip`), and those
  // that began since, up to the new snapshot's end. Ids from before a restore can be greater.
  const { rows } = await sql<
    Omit<LogSnapshot, 'lastAppend'> & {
      readonly epoch: string;
      readonly heads: Readonly<Record<string, number>> | null;
    }
  >`
    with input as materialized (
      select ${since?.transactions ?? null}::pg_snapshot as former, ${since?.server ?? null}::text as server
    ), present as materialized (
      select pg_current_snapshot() as transactions, pg_postmaster_start_time()::text as server
    )
    select transactions::text, server, (select value from settings where name = 'epoch') as epoch, (
      select json_object_agg(topic, head) from (
        select topic, max(seq) as head from events
        where present.server = (select server from input) and (
          xid = any(array(select pg_snapshot_xip(former) from input))
          or xid >= (select pg_snapshot_xmax(former) from input)
            and xid < (select pg_snapshot_xmax(transactions) from present)
        )
        group by topic
      ) as changed
    ) as heads
    from present
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('The query returned no snapshot');
  const { transactions, server, epoch, heads } = row;
  const isUnchanged = heads === null && since?.server === server;
  const lastAppend = isUnchanged ? since.lastAppend : await readLastAppend(db);
  return {
    snapshot: { transactions, server, lastAppend },
    epoch,
    heads: new Map(Object.entries(heads ?? {})),
  };
}

async function readLastAppend(db: Db): Promise<Append | null> {
  // Events that were restored from a dump have ids of another server, which can be greater.
  const { rows } = await sql<Append>`
    select xid::text as transaction, topic, seq from events
    where xid < pg_snapshot_xmax(pg_current_snapshot()) order by events.xid desc limit 1
  `.execute(db);
  return rows[0] ?? null;
}

/** Renews the epoch if the origin of the database is another one, or it has lost one of the appends. Returns the present epoch. */
export async function renewEpochIfLost(db: Db, known: string, appends: readonly Append[]): Promise<string> {
  const epoch = await renewEpochOfRestore(db, await readServerOrigin(db));
  for (const append of appends) if (await isLost(db, append)) return renewEpochOnce(db, known);
  return epoch;
}

/** Other transactions, and other events, may have had the ids and positions of the lost ones since. */
async function isLost(db: Db, { transaction, topic, seq }: Append): Promise<boolean> {
  const { rows } = await sql<{ isLost: boolean }>`
    select pg_snapshot_xmax(pg_current_snapshot()) <= ${transaction}::xid8
      or exists (select from topics where topic = ${topic} and head < ${seq})
      or exists (select from events where topic = ${topic} and seq = ${seq} and xid is distinct from ${transaction}::xid8)
      as is_lost
  `.execute(db);
  return rows[0]?.isLost === true;
}
