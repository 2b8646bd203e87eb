import { GraphQLError } from 'graphql';
import { parseDateTime } from '../lib/dates.ts';

// Scalars of both schemas, that of clients and that of operators.

export const requireString = (value: unknown): string => {
  if (typeof value !== 'string') throw new GraphQLError('The value is not a string.');
  return value;
};

export const DATE_TIME = {
  description:
    'A point in time: RFC 3339 with exactly three digits of milliseconds, for example `2026-03-01T12:30:00.250Z`. Output is always in UTC with `Z`, in the years 0001 to 9999. Input may have any offset but `-00:00`.',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time',
  coerceOutputValue: requireString,
  coerceInputValue(value: unknown): string {
    const time = parseDateTime(requireString(value));
    if (time !== undefined) return time;
    throw new GraphQLError('The value is not a date and time of the form 2026-03-01T12:30:00.250Z.');
  },
};

/** Operators write times by hand: the fraction of a second is optional. */
export const OPERATOR_DATE_TIME = {
  description:
    'A point in time: RFC 3339, for example `2026-03-01T12:30:00.250Z`. Output has three digits of milliseconds and is always in UTC with `Z`. Input may have any offset but `-00:00`, and no or three digits of milliseconds.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  coerceOutputValue: requireString,
  coerceInputValue: (value: unknown): string =>
    DATE_TIME.coerceInputValue(requireString(value).replace(/(T\d{2}:\d{2}:\d{2})(?!\.)/i, '$1.000')),
};

export const JSON_VALUE = {
  description:
    'Any JSON value: null, a boolean, a number, a string, a list or an object, for example `{ "type": "offer", "sdp": "v=0" }`. Passed through unchanged; numbers have double precision.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  coerceOutputValue: (value: unknown): unknown => value,
  coerceInputValue: (value: unknown): unknown => value,
};
