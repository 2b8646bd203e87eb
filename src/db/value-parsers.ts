import pg from 'pg';

const { builtins } = pg.types;

/** The text form of a timestamp in UTC, the time zone of most servers. The fraction has no trailing zeros. */
const PLAIN_TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,3})?\+00$/;
const DATE_AND_TIME_LENGTH = '2026-11-26 04:47:06'.length;

/**
 * Converts a timestamp to ISO 8601 with milliseconds. The common form is rewritten without `Date`, which saves a tenth
 * of the CPU time of a page of messages.
 */
function isoTimestamp(text: string): string {
  if (!PLAIN_TIMESTAMP.test(text)) return new Date(text).toISOString();
  const fraction = text.slice(DATE_AND_TIME_LENGTH, -'+00'.length) || '.';
  return `${text.slice(0, 10)}T${text.slice(11, DATE_AND_TIME_LENGTH)}${fraction.padEnd(4, '0')}Z`;
}

/** Keeps rows JSON-safe: timestamps and dates are strings, and 64-bit integers numbers (all are far below 2^53). */
const PARSERS = new Map<number, (text: string) => unknown>([
  [builtins.INT8, Number],
  [builtins.DATE, (text) => text],
  [builtins.TIMESTAMPTZ, isoTimestamp],
]);

export const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    PARSERS.get(oid) ??
    pg.types.getTypeParser(oid, format ?? 'text')) as pg.CustomTypesConfig['getTypeParser'],
};
