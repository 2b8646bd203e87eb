import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { emailKey } from '../lib/text.ts';

/**
 * SQL condition: the user's e-mail key equals `key`. A stale key matches nothing: a node of an older version updates
 * only the e-mail, and then `keyed_email` differs from it.
 */
const matchesKey = (key: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`(users.email_key = ${key} and users.keyed_email = users.email)`;

/**
 * SQL condition: the user has the e-mail, in any spelling. Matches one user, and at most one more that was created
 * before e-mails had keys.
 */
export const matchesEmail = (email: string): RawBuilder<boolean> =>
  sql<boolean>`(${matchesKey(sql`${emailKey(email)}`)} or lower(users.email) = lower(${email}))`;

/** Sorts the user with the same spelling first. */
export const emailOrder = (email: string): RawBuilder<boolean> =>
  sql<boolean>`lower(users.email) <> lower(${email})`;

/** SQL row set `input (email, key, ordinal)` of e-mails, for lookups of several users. */
export const emailInput = (emails: readonly string[]) =>
  sql<{
    email: string;
    key: string;
    ordinal: number;
  }>`unnest(${emails}::text[], ${emails.map(emailKey)}::text[]) with ordinality`.as<'input'>(
    sql`input (email, key, ordinal)`,
  );

/** SQL condition: the user has the e-mail of the row of `emailInput`, in any spelling. */
export const matchesInput = sql<boolean>`(${matchesKey(sql`input.key`)} or lower(users.email) = lower(input.email))`;

/** Sorts the user with the same spelling as the row of `emailInput` last, so that it wins in a map by ordinal. */
export const inputOrder = sql<boolean>`lower(users.email) = lower(input.email)`;
