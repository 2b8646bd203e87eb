import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_JSON_PARTS, measureJson } from '../../src/lib/json-weight.ts';
import { fuzz } from '../fuzz/fuzz.ts';

/** Long enough to be scanned, and without parts. */
const PADDING = ' '.repeat(512);

function countParts(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value);
  const own = Array.isArray(value) ? 1 : 1 + inner.length;
  return inner.reduce<number>((sum, item) => sum + countParts(item), own);
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test('the parts and the depth of a text are those of what it is parsed to, whatever its strings contain', async () => {
  const string = fc
    .array(fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', 'a'))
    .map((parts) => parts.join(''));
  await fuzz(
    fc.asyncProperty(fc.jsonValue(), string, async (value, text) => {
      const whole = { [text]: value, text };
      expect(measureJson(PADDING + JSON.stringify(whole))).toMatchObject({
        parts: countParts(whole),
        depth: depthOf(whole),
      });
    }),
    200,
  );
});

test('a large text has the memory of the text alone, and little more if it is a list of numbers', () => {
  expect(measureJson(JSON.stringify('x,['.repeat(10_000))).overheadBytes).toBeLessThan(100);
  expect(measureJson(`[${'17,'.repeat(100_000)}17]`)).toEqual({ parts: 1, depth: 1, overheadBytes: 800_064 });
  expect(measureJson('"'.repeat(1_000_001)).depth).toBe(0);
});

test('a scan ends at the limit of parts', () => {
  expect(measureJson('{},'.repeat(1_000_000)).parts).toBe(MAX_JSON_PARTS + 1);
});
