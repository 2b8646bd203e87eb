import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Timestamp } from './tables.ts';

/**
 * Matches any of the ids. One array parameter: the text of the statement, and so its name when prepared, does not
 * depend on their number.
 */
export const anyOf = <Id extends number>(ids: readonly Id[]): RawBuilder<Id> => sql<Id>`any(${ids}::int[])`;

export const now: RawBuilder<Timestamp> = sql<Timestamp>`clock_timestamp()`;

/**
 * Milliseconds since a time that the database recorded, at least 0: columns round times, to up to a millisecond later. Null
 * if its clock was set back since.
 */
export const elapsedMsSince = (since: RawBuilder<unknown>): RawBuilder<number | null> => sql<
  number | null
>`case
  when ${since} < clock_timestamp() + interval '1 second'
  then greatest(0, extract(epoch from clock_timestamp() - ${since}) * 1000)::float8
end`;
