import { isScalarType, isSpecifiedScalarType } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/schema/index.ts';

function requireScalar(name: string) {
  const type = schema.getType(name);
  if (!isScalarType(type)) throw new Error(`The schema has no scalar ${name}`);
  return type;
}

const customScalars = Object.values(schema.getTypeMap())
  .filter(isScalarType)
  .filter((type) => !isSpecifiedScalarType(type));

test('every scalar has a specification URL and an example', () => {
  expect(customScalars.map(({ name }) => name).sort()).toEqual([
    'Cursor',
    'Date',
    'DateTime',
    'JSON',
    'Upload',
  ]);
  for (const { specifiedByURL, description } of customScalars) {
    expect(specifiedByURL).toMatch(/^https:\/\/[^ ]+$/);
    expect(description).toMatch(/for example `[^`]+`/);
  }
});

test('a DateTime requires milliseconds and an offset, and is converted to UTC', () => {
  const coerce = (value: unknown) => requireScalar('DateTime').coerceInputValue(value);
  expect(coerce('2011-08-30T13:22:53.108Z')).toBe('2011-08-30T13:22:53.108Z');
  expect(coerce('2011-08-30t13:22:53.108z')).toBe('2011-08-30T13:22:53.108Z');
  expect(coerce('2011-08-30T13:22:53.108+00:00')).toBe('2011-08-30T13:22:53.108Z');
  expect(coerce('2011-08-30T13:22:53.108-03:00')).toBe('2011-08-30T16:22:53.108Z');
  expect(coerce('2011-08-30T13:22:53.108+03:30')).toBe('2011-08-30T09:52:53.108Z');
  for (const value of [
    '',
    '2011-08-30T13:22:53.108-03',
    '2011-08-30T13:22:53.108912Z',
    '2011-08-30T13:22:53Z',
    '2011-08-30T13:22:53.108',
    '2011-08-30',
    '2011-08-30T13:22:53.108-00:00',
    '2011-08-30T13:22:53.108+03:30:15',
    '2011-08-30T24:00:00.000Z',
    '2011-02-29T13:22:53.108Z',
    '2011-08-30 13:22:53.108Z',
    1314710573108,
    null,
  ]) {
    expect(() => coerce(value), String(value)).toThrow();
  }
});

test('a Date is a calendar date in the years 1 to 9999', () => {
  const coerce = (value: unknown) => requireScalar('Date').coerceInputValue(value);
  for (const value of ['0001-01-01', '1995-12-31', '2024-02-29', '9999-12-31']) {
    expect(coerce(value)).toBe(value);
  }
  for (const value of [
    '',
    '0000-01-01',
    '2023-02-29',
    '1995-12-32',
    '1995-1-1',
    '+012345-01-01',
    '-0001-01-01',
    ' 1995-12-31',
    '1995-12-31\n',
    '١٩٩٥-١٢-٣١',
    19951231,
    true,
  ]) {
    expect(() => coerce(value), String(value)).toThrow();
  }
});

test('Cursor accepts any string: the stream validates it', () => {
  const coerce = (value: unknown) => requireScalar('Cursor').coerceInputValue(value);
  expect(coerce('')).toBe('');
  expect(coerce('x y')).toBe('x y');
  for (const value of [1, true, {}, []]) expect(() => coerce(value)).toThrow('The value is not a string.');
});

test('JSON accepts any value and returns it unchanged', () => {
  const value = { list: [1, 'x', null, true, -0.5], nested: { '': {} } };
  expect(requireScalar('JSON').coerceInputValue(value)).toBe(value);
  expect(requireScalar('JSON').coerceOutputValue(value)).toBe(value);
});
