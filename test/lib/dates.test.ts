import { expect, test } from 'vitest';
import { parseDate } from '../../src/lib/dates.ts';

test('only a day of the calendar is accepted as a date', () => {
  for (const date of ['1990-02-28', '2024-02-29', '0001-01-01', '9999-12-31']) {
    expect(parseDate('birthday', date)).toBe(date);
  }
  for (const date of [
    '',
    '1990-02-29',
    '1990-13-01',
    '1990-00-10',
    '0000-01-01',
    '1990-2-28',
    '1990-02-28T00:00',
  ]) {
    expect(() => parseDate('birthday', date)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', details: { field: 'birthday' } }),
    );
  }
});
