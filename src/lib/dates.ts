import { invalidInput } from '../errors.ts';

/** Parses a calendar date, `YYYY-MM-DD`. Throws INVALID_INPUT. */
export function parseDate(field: string, value: string): string {
  if (isDate(value)) return value;
  throw invalidInput(field, `${field} is not a date of the form YYYY-MM-DD.`);
}

/** Checks for an existing calendar date, `YYYY-MM-DD`, from year 1 on: PostgreSQL has no year 0. */
export function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value) || value < '0001') return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

const DATE_TIME =
  /^([\d-]{10})[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * Converts an RFC 3339 timestamp with milliseconds to UTC, `2026-03-01T12:30:00.250Z`. Undefined for any other form,
 * and for the unknown offset `-00:00`.
 */
export function parseDateTime(value: string): string | undefined {
  const date = DATE_TIME.exec(value)?.[1];
  if (date === undefined || !isDate(date) || value.endsWith('-00:00')) return undefined;
  return new Date(value.toUpperCase()).toISOString();
}
