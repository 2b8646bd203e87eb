import { Readable } from 'node:stream';
import { GraphQLError } from 'graphql';
import { isDate } from '../lib/dates.ts';
import { builder } from './builder.ts';
import type { FileUpload } from './builder.ts';
import { DATE_TIME, JSON_VALUE, requireString } from './scalar-options.ts';

builder.scalarType('Cursor', {
  description:
    'The position of an event in its stream: opaque text of at most 200 characters, for example `"MGE4ZjY1ZTIvY2lyY2xlOjEvMw"`. The same position always has the same text, for every reader, on every transport and after every reconnect. To receive each later event once and in order, subscribe `after` the newest cursor received. As input, `""` counts as null.',
  specifiedByURL: 'https://relay.dev/graphql/connections.htm#sec-Cursor',
  coerceOutputValue: requireString,
  // Accepts any string: the stream checks it, with a code of its own (CURSOR_INVALID).
  coerceInputValue: requireString,
});

builder.scalarType('DateTime', DATE_TIME);

builder.scalarType('Date', {
  description:
    'A calendar date without time and time zone: the `full-date` of RFC 3339, `YYYY-MM-DD`, from `0001-01-01` to `9999-12-31`, for example `1995-12-31`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339#section-5.6',
  coerceOutputValue: requireString,
  coerceInputValue(value) {
    const text = requireString(value);
    if (isDate(text)) return text;
    throw new GraphQLError('The value is not a calendar date of the form YYYY-MM-DD.');
  },
});

builder.scalarType('JSON', JSON_VALUE);

builder.scalarType('Upload', {
  description:
    'A file in a multipart request, at most `MAX_UPLOAD_BYTES` bytes. Must be passed in a variable, for example `curl -F operations=… -F map=… -F 0=@photo.png`.',
  specifiedByURL: 'https://github.com/jaydenseric/graphql-multipart-request-spec',
  coerceOutputValue() {
    throw new GraphQLError('An upload cannot be returned.');
  },
  coerceInputValue(value) {
    if (isFile(value)) return value;
    throw new GraphQLError('The value is not a file in a multipart request.');
  },
});

function isFile(value: unknown): value is FileUpload {
  return (
    typeof value === 'object' && value !== null && 'content' in value && value.content instanceof Readable
  );
}
