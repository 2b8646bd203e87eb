import { expect, test } from 'vitest';
import { parseDate, parseEmail, parseText } from '../../src/domain/text.ts';

const refused = (field: string) => expect.objectContaining({ code: 'INVALID_INPUT', details: { field } });

test('lengths are counted in code points, not in units of UTF-16', () => {
  expect(parseText('text', '🎈'.repeat(10), { max: 10 })).toBe('🎈'.repeat(10));
  expect(() => parseText('text', '🎈'.repeat(11), { max: 10 })).toThrow(refused('text'));
  expect(() => parseText('text', 'x'.repeat(1_000_000), { max: 10 })).toThrow(refused('text'));
});

test('what cannot be stored is refused, whatever its length', () => {
  for (const text of ['\0', 'a\0', '\ud83d', 'x\udc00']) {
    expect(() => parseText('text', text, { max: 10 })).toThrow(refused('text'));
  }
});

test('a text may be empty unless it must not, and blanks do not fill it', () => {
  expect(parseText('text', '', { max: 10 })).toBe('');
  expect(parseText('text', ' a ', { max: 10, min: 1 })).toBe(' a ');
  for (const text of ['', ' ', '\n\t\u00a0']) {
    expect(() => parseText('text', text, { max: 10, min: 1 })).toThrow(refused('text'));
  }
});

test('an e-mail has one @ between two parts, and at most 120 characters', () => {
  expect(parseEmail('email', ' Ann@Example.com\n')).toBe('Ann@Example.com');
  expect(parseEmail('email', 'a@b')).toBe('a@b');
  expect(parseEmail('email', `${'x'.repeat(118)}@x`)).toHaveLength(120);
  for (const text of ['', '@', 'a@', '@b', 'a@b@c', 'a b@c', 'ann', `${'x'.repeat(119)}@x`]) {
    expect(() => parseEmail('email', text)).toThrow(refused('email'));
  }
});

test('a date is a day that there was or will be', () => {
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
    expect(() => parseDate('birthday', date)).toThrow(refused('birthday'));
  }
});
