import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Timestamp } from './tables.ts';

/** Matches any of the ids, also when there are none, in a statement whose text does not depend on their number. */
export const anyOf = <Id extends number>(ids: readonly Id[]): RawBuilder<Id> => sql<Id>`any(${ids}::int[])`;

export const now: RawBuilder<Timestamp> = sql<Timestamp>`clock_timestamp()`;
