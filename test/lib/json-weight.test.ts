import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_JSON_VALUES, measureJson } from '../../src/lib/json-weight.ts';
import { fuzz } from '../fuzz/fuzz.ts';

/** Long enough to be scanned, and without values. */
const PADDING = ' '.repeat(512);

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value);
  return Math.max(1, inner.length) + inner.reduce<number>((sum, item) => sum + countValues(item), 0);
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test('the values and the depth of a text are those of what it is parsed to, whatever its strings contain', async () => {
  const string = fc
    .array(fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', 'a'))
    .map((parts) => parts.join(''));
  await fuzz(
    fc.asyncProperty(fc.jsonValue(), string, async (value, text) => {
      const whole = { [text]: value, text };
      expect(measureJson(PADDING + JSON.stringify(whole))).toMatchObject({
        values: 1 + countValues(whole),
        depth: depthOf(whole),
      });
    }),
    200,
  );
});

test('a large text without values has the memory of the text alone', () => {
  expect(measureJson(JSON.stringify('x,['.repeat(10_000))).overheadBytes).toBe(0);
  expect(measureJson('"'.repeat(1_000_001)).depth).toBe(0);
});

test('a scan ends at the limit of values', () => {
  expect(measureJson('{},'.repeat(1_000_000)).values).toBe(MAX_JSON_VALUES + 1);
});
