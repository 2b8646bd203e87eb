import { Readable } from 'node:stream';
import { GraphQLError } from 'graphql';
import { isDate } from '../domain/text.ts';
import { builder } from './builder.ts';
import type { UploadedFile } from './builder.ts';

const sameText = (value: unknown): string => {
  if (typeof value !== 'string') throw new GraphQLError('The value is not a string.');
  return value;
};

builder.scalarType('Cursor', {
  description:
    'A place in a stream of events, as opaque text. The same place always has the same text, for every reader, on every transport and after every reconnect. Keep the newest one you have seen and subscribe `after` it to get all that came since, each event once and in order.',
  coerceOutputValue: sameText,
  // Any text is taken here: whether it is a cursor of that stream is for the stream to say, with a code of its own.
  coerceInputValue: sameText,
});

builder.scalarType('DateTime', {
  description: 'A moment in UTC, as ISO 8601 with milliseconds: `2026-03-01T12:30:00.250Z`.',
  coerceOutputValue: sameText,
  coerceInputValue: sameText,
});

builder.scalarType('Date', {
  description: 'A day of the calendar, as `YYYY-MM-DD`: `1995-12-31`.',
  coerceOutputValue: sameText,
  coerceInputValue(value) {
    const text = sameText(value);
    if (isDate(text)) return text;
    throw new GraphQLError('The value is not a day of the calendar, written as YYYY-MM-DD.');
  },
});

builder.scalarType('JSON', {
  description: 'Any JSON value. It is handed on unchanged.',
  coerceOutputValue: (value) => value,
  coerceInputValue: (value) => value,
});

builder.scalarType('Upload', {
  description:
    'A file, sent as a part of a multipart request: https://github.com/jaydenseric/graphql-multipart-request-spec. It can only be the value of a variable.',
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
