import { sql } from 'kysely';
import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { Db } from './database.ts';
import { elapsedMsSince } from './sql.ts';

/** Failed logins of a subject. */
export interface FailureCount {
  readonly failures: number;
  /** Null if the clock of the database was set back since the last one. */
  readonly elapsedMs: number | null;
}

/** Returns the failures of each subject, in the same order, by the clock of the database. */
export async function findFailures(db: Db, subjects: readonly string[]): Promise<FailureCount[]> {
  const { rows } = await sql<FailureCount & { subject: string }>`
    select subject, failures, ${elapsedMsSince(sql`last_at`)} as elapsed_ms
    from login_failures where subject = any(${subjects}::text[])
  `.execute(db);
  const bySubject = new Map(rows.map((row) => [row.subject, row]));
  return subjects.map((subject) => bySubject.get(subject) ?? { failures: 0, elapsedMs: null });
}

/** Counts a failure of each subject. Counts that are older than their window restart at one. */
export async function addFailures(db: Db, subjects: readonly string[], windowSeconds: number): Promise<void> {
  await sql`
    insert into login_failures (subject, failures)
    select subject, 1 from unnest(${subjects.toSorted()}::text[]) as input (subject)
    on conflict (subject) do update set
      failures = case
        when login_failures.last_at < clock_timestamp() - make_interval(secs => ${windowSeconds}) then 1
        else login_failures.failures + 1
      end,
      last_at = clock_timestamp()
  `.execute(db);
}

export async function clearFailures(db: Db, subject: string): Promise<void> {
  await db.deleteFrom('loginFailures').where('subject', '=', subject).execute();
}

/** A client that may have logged in to an account before. */
export interface KnownClient {
  readonly account: string;
  readonly client: string;
}

/** Returns, in the same order, whether each client has logged in to its account before. */
export async function areKnown(db: Db, clients: readonly KnownClient[]): Promise<boolean[]> {
  const { rows } = await sql<{ known: boolean }>`
    select exists (
      select from known_clients
      where known_clients.account = input.account and known_clients.client = input.client
    ) as known
    from unnest(
      ${clients.map(({ account }) => account)}::text[],
      ${clients.map(({ client }) => client)}::text[]
    ) with ordinality as input (account, client, ordinal)
    order by ordinal
  `.execute(db);
  return rows.map(({ known }) => known);
}

/** Remembers that a client has logged in to an account, which has at most `max` known clients: the latest. */
export async function rememberClient(db: Db, actor: ActorRef, client: string, max: number): Promise<void> {
  const account = actorKey(actor);
  const table = sql.table(actor.kind === 'user' ? 'users' : 'devices');
  // A deletion of the account waits for the lock, or has committed: then nothing is inserted.
  await sql`
    insert into known_clients (account, client)
    select ${account}, ${client} from ${table} where id = ${actor.id} for key share
    on conflict (account, client) do update set seen_at = clock_timestamp()
  `.execute(db);
  await sql`
    delete from known_clients where account = ${account} and client in (
      select client from known_clients where account = ${account} order by seen_at desc offset ${max}
    )
  `.execute(db);
}

/** Forgets the clients of a deleted account. */
export async function forgetClients(db: Db, account: ActorKey): Promise<void> {
  await db.deleteFrom('knownClients').where('account', '=', account).execute();
}

/** Deletes expired counts and clients. Returns the number of deleted rows. */
export async function deleteExpiredAttempts(
  db: Db,
  { windowSeconds, knownDays }: { readonly windowSeconds: number; readonly knownDays: number },
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with failures as (
      delete from login_failures
      where last_at < clock_timestamp() - make_interval(secs => ${windowSeconds}) returning 1
    ), clients as (
      delete from known_clients
      where seen_at < clock_timestamp() - make_interval(days => ${knownDays}) returning 1
    )
    select (select count(*) from failures)::int + (select count(*) from clients)::int as count
  `.execute(db);
  return rows[0]?.count ?? 0;
}
