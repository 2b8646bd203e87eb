import { invalidInput } from '../errors.ts';

/** Limits of texts, in code points. */
export const MAX_MESSAGE_TEXT = 8192;
const MAX_NAME = 120;
export const MAX_PERSON_NAME = 50;
export const MAX_EMAIL = 120;
export const MAX_PASSWORD = 200;
export const MAX_FILE_IDENTIFIER = 1024;

export interface TextLimits {
  readonly max: number;
  /** Least number of code points, blanks at both ends not counted; 0 unless told. */
  readonly min?: number;
}

/**
 * Answers the text as it is when it can be stored and is of a permitted length, counted in code points.
 * Throws INVALID_INPUT naming the field otherwise.
 */
export function parseText(field: string, value: string, { max, min = 0 }: TextLimits): string {
  if (!isText(value)) {
    throw invalidInput(field, `${field} contains characters that are not text.`);
  }
  if (isLongerThan(value, max)) throw invalidInput(field, `${field} has more than ${max} characters.`);
  if (min > 0 && !isLongerThan(value.trim(), min - 1)) {
    throw invalidInput(
      field,
      min === 1 ? `${field} is empty.` : `${field} has fewer than ${min} characters.`,
    );
  }
  return value;
}

/** Whether the database can store it: no NUL, no half of a character. */
export const isText = (value: string): boolean => value.isWellFormed() && !value.includes('\0');

/** A name of a circle, a conversation or a device. */
export const parseName = (field: string, value: string): string =>
  parseText(field, value, { max: MAX_NAME, min: 1 });

/** An e-mail address as typed, without blanks around it. Throws INVALID_INPUT. */
export function parseEmail(field: string, value: string): string {
  const email = parseText(field, value.trim(), { max: MAX_EMAIL, min: 3 });
  if (!/^[^@\s]+@[^@\s]+$/.test(email)) throw invalidInput(field, `${field} is not an e-mail address.`);
  return email;
}

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

/** Counts no further than it must: a code point has at most two code units. */
function isLongerThan(text: string, limit: number): boolean {
  if (text.length <= limit) return false;
  if (text.length > 2 * limit) return true;
  let count = 0;
  for (const _point of text) count += 1;
  return count > limit;
}
