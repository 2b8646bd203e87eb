import { Readable } from 'node:stream';
import { GraphQLError } from 'graphql';
import { isDate, parseDateTime } from '../lib/dates.ts';
import { builder } from './builder.ts';
import type { UploadedFile } from './builder.ts';

const sameText = (value: unknown): string => {
  if (typeof value !== 'string') throw new GraphQLError('The value is not a string.');
  return value;
};

builder.scalarType('Cursor', {
  description:
    'The position of an event in its stream: opaque text of at most 200 characters, for instance `"MGE4ZjY1ZTIvY2lyY2xlOjEvMw"`. The same position always has the same text, for every reader, on every transport and after every reconnect. Subscribe `after` the newest one received to get each later event once and in order. As input, `""` counts as null.',
  specifiedByURL: 'https://relay.dev/graphql/connections.htm#sec-Cursor',
  coerceOutputValue: sameText,
  // Any text is taken here: whether it is a cursor of that stream is for the stream to say, with a code of its own.
  coerceInputValue: sameText,
});

builder.scalarType('DateTime', {
  description:
    'A point in time: RFC 3339 with exactly three digits of milliseconds, for instance `2026-03-01T12:30:00.250Z`. Output is always in UTC with `Z`, in the years 0001 to 9999. Input may have any offset but `-00:00`.',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time',
  coerceOutputValue: sameText,
  coerceInputValue(value) {
    const time = parseDateTime(sameText(value));
    if (time !== undefined) return time;
    throw new GraphQLError('The value is not a date and time of the form 2026-03-01T12:30:00.250Z.');
  },
});

builder.scalarType('Date', {
  description:
    'A day of the calendar without time and time zone: the `full-date` of RFC 3339, `YYYY-MM-DD`, from `0001-01-01` to `9999-12-31`, for instance `1995-12-31`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339#section-5.6',
  coerceOutputValue: sameText,
  coerceInputValue(value) {
    const text = sameText(value);
    if (isDate(text)) return text;
    throw new GraphQLError('The value is not a day of the calendar, written as YYYY-MM-DD.');
  },
});

builder.scalarType('JSON', {
  description:
    'Any JSON value: null, a boolean, a number, a string, a list or an object, for instance `{ "type": "offer", "sdp": "v=0" }`. It is passed on unchanged; a number has the precision of a double.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  coerceOutputValue: (value) => value,
  coerceInputValue: (value) => value,
});

builder.scalarType('Upload', {
  description:
    'A file as a part of a multipart request, up to the size that the server permits. Only as the value of a variable, never in output; for instance `curl -F operations=… -F map=… -F 0=@photo.png`.',
  specifiedByURL: 'https://github.com/jaydenseric/graphql-multipart-request-spec',
  coerceOutputValue() {
    throw new GraphQLError('A file is never answered.');
  },
  coerceInputValue(value) {
    if (isFile(value)) return value;
    throw new GraphQLError('The value is not a file of a multipart request.');
  },
});

function isFile(value: unknown): value is UploadedFile {
  return (
    typeof value === 'object' && value !== null && 'content' in value && value.content instanceof Readable
  );
}
