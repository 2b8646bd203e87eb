import { invalidInput } from '../errors.ts';

/** A day of the calendar, `YYYY-MM-DD`. Throws INVALID_INPUT. */
export function parseDate(field: string, value: string): string {
  if (isDate(value)) return value;
  throw invalidInput(field, `${field} is not a date of the form YYYY-MM-DD.`);
}

/** Whether it is a day of the calendar, `YYYY-MM-DD`. There was no year 0. */
export function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value) || value < '0001') return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

const DATE_TIME =
  /^([\d-]{10})[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** The same time in UTC, `2026-03-01T12:30:00.250Z`; undefined unless it has that form with any known offset. */
export function parseDateTime(value: string): string | undefined {
  const date = DATE_TIME.exec(value)?.[1];
  if (date === undefined || !isDate(date) || value.endsWith('-00:00')) return undefined;
  return new Date(value.toUpperCase()).toISOString();
}
