import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Timestamp } from './tables.ts';

/**
 * Matches any of the ids. One array parameter: the text of the statement, and so its name when prepared, does not
 * depend on their number.
 */
export const anyOf = <Id extends number>(ids: readonly Id[]): RawBuilder<Id> => sql<Id>`any(${ids}::int[])`;

export const now: RawBuilder<Timestamp> = sql<Timestamp>`clock_timestamp()`;
