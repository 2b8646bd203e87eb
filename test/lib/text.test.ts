import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  cutName,
  emailKey,
  looksEmpty,
  parseEmail,
  parseName,
  parseNewEmail,
  parsePassword,
  parseText,
  passwordForms,
  usernameKey,
} from '../../src/lib/text.ts';

const invalidInput = (field: string) =>
  expect.objectContaining({ code: 'INVALID_INPUT', details: { field } });

test('lengths are counted in code points, not in UTF-16 code units', () => {
  expect(parseText('text', '🎈'.repeat(10), { max: 10 })).toBe('🎈'.repeat(10));
  expect(() => parseText('text', '🎈'.repeat(11), { max: 10 })).toThrow(invalidInput('text'));
  expect(() => parseText('text', 'x'.repeat(1_000_000), { max: 10 })).toThrow(invalidInput('text'));
  expect(parseName('name', 'o\u0302\u0301'.repeat(120))).toBe('ố'.repeat(120));
  expect(() => parseName('name', 'e\u0301'.repeat(121))).toThrow(invalidInput('name'));
});

test('a text that cannot be stored is rejected, regardless of its length', () => {
  for (const text of ['\0', 'a\0', '\ud83d', 'x\udc00']) {
    expect(() => parseText('text', text, { max: 10 })).toThrow(invalidInput('text'));
    expect(() => parseName('name', text)).toThrow(invalidInput('name'));
    expect(() => parseNewEmail('email', `${text}@example.com`)).toThrow(invalidInput('email'));
    expect(() => parsePassword('password', text)).toThrow(invalidInput('password'));
  }
});

const EMPTY = [
  '',
  ' \n\t\u00a0\u3000\u2028',
  '\u200b',
  '\u2060\ufeff',
  '\u3164',
  '\u115f\u1160\uffa0',
  '\u2800',
  '\u00ad',
  '\u0301\u20dd',
  '\u200d\u200c',
  '\ufe0f\u{e0101}',
  '\u{e0067}\u{e007f}',
  '\u202e\u2066\u200f\u061c',
  '\u180e\u034f\u17b4',
  '\ufffc\ufff9\ufffb',
  '\ufdd0\u{1fffe}',
  ' \u2800 \u200b \u0301 ',
];

test('white space, invisible characters and lone marks look empty, and are rejected as a name', () => {
  for (const text of EMPTY) {
    expect(looksEmpty(text), JSON.stringify(text)).toBe(true);
    expect(() => parseName('name', text)).toThrow(invalidInput('name'));
    expect(() => parsePassword('password', text)).toThrow(invalidInput('password'));
    expect(cutName(text, 50)).toBe('');
  }
  for (const text of ['.', '0', '–', '\ue000', '\u{1f596}', 'ㅤx', '\u{1fae9}'])
    expect(looksEmpty(text)).toBe(false);
});

test('names in any script, and emoji sequences, stay unchanged', () => {
  for (const name of [
    'Zoë',
    'Nguyễn Thị Ố',
    'علي',
    'نامه‌ای',
    'שָׁלוֹם',
    'क्‍ष',
    '山田 太郎',
    '김민준',
    '👩‍👩‍👧‍👦',
    '❤️',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    '1️⃣',
    '🇫🇷',
    'O’Neil-Smith, Jr. (2)',
    '①ﬁ',
  ]) {
    expect(parseName('name', name)).toBe(name);
    expect(cutName(name, 50)).toBe(name);
  }
});

test('names are trimmed, with single spaces, and without embedding controls', () => {
  expect(parseName('name', '  Ann\u00a0\n Marie\u3000')).toBe('Ann Marie');
  expect(parseName('name', 'Ann\u200b\u2060\ufeff')).toBe('Ann');
  expect(parseName('name', 'Ann\u200f\u200d')).toBe('Ann');
  expect(parseName('name', '\u202eAnn\u202c \u2067B\u2069')).toBe('Ann B');
  expect(parseName('name', 'Zoe\u0308')).toBe('Zoë');
  for (const name of ['a\u0007', '\u001b[2Jx', 'a\u0085\u0081b', 'a\ufdd0']) {
    expect(() => parseName('name', name)).toThrow(invalidInput('name'));
  }
  expect(cutName(' a\u0007\n\ud83d b\0c', 50)).toBe('a � bc');
  expect(cutName('Zoe\u0308'.repeat(50), 4)).toBe('ZoëZ');
});

test('an e-mail has one @ between two parts, and at most 120 characters', () => {
  for (const parse of [parseEmail, parseNewEmail]) {
    expect(parse('email', ' Ann@Example.com\n')).toBe('Ann@Example.com');
    expect(parse('email', 'a@b')).toBe('a@b');
    expect(parse('email', 'o’neil+tag_1=x@mail.example.com')).toBe('o’neil+tag_1=x@mail.example.com');
    expect(parse('email', `${'x'.repeat(118)}@x`)).toHaveLength(120);
    for (const text of ['', '@', 'a@', '@b', 'a@b@c', 'a b@c', 'ann', `${'x'.repeat(119)}@x`]) {
      expect(() => parse('email', text)).toThrow(invalidInput('email'));
    }
  }
});

test('a new e-mail has no invisible characters, and a valid domain', () => {
  for (const text of [
    'an\u200bn@example.com',
    'ann\u00ad@example.com',
    'ann@exam\u2060ple.com',
    '\u202eann@example.com',
    'ann\u3164@example.com',
    'ann\u0000@example.com',
    'ann\u0007@example.com',
    'ann¨@example.com',
    'ann＠b@example.com',
    'ann@example.com.',
    'ann@.example.com',
    'ann@example..com',
    'ann@example.com,bob',
    'ann@exa%6dple.com',
    'ann@a\u200db.com',
  ]) {
    expect(() => parseNewEmail('email', text), JSON.stringify(text)).toThrow(invalidInput('email'));
  }
  expect(parseNewEmail('email', 'zoe\u0308@example.com')).toBe('zoë@example.com');
  expect(parseNewEmail('email', 'ann@MAN\u0303ANA．com')).toBe('ann@mañana.com');
  expect(parseNewEmail('email', 'ann@[192.0.2.1]')).toBe('ann@[192.0.2.1]');
});

test('e-mails that differ by case, Unicode form, width or spelling of the domain have one key', () => {
  for (const [spelling, equivalent] of [
    ['Ann@Example.COM', 'ann@example.com'],
    ['ZOË@example.com', 'zoe\u0308@example.com'],
    ['ａｎｎ@example.com', 'ann@example.com'],
    ['ΟΔΟΣ@example.com', 'οδος@example.com'],
    ['ann@mañana.com', 'ann@XN--MAANA-PTA.com'],
    ['ann@man\u0303ana.com', 'ann@mañana.com'],
    ['ann@ｅｘａｍｐｌｅ。com', 'ann@example.com'],
    ['\u212aate@example.com', 'kate@example.com'],
  ] as const) {
    expect(emailKey(spelling), spelling).toBe(emailKey(equivalent));
  }
  expect(emailKey('ann@example.com')).not.toBe(emailKey('anna@example.com'));
  expect(emailKey('straße@example.com')).not.toBe(emailKey('strasse@example.com'));
  expect(emailKey('ann@faß.de')).not.toBe(emailKey('ann@fass.de'));
});

test('usernames are equal in every width and case', () => {
  expect(usernameKey(' Ｄevice-A1\n')).toBe('device-a1');
});

test('a password is equal from every keyboard, and keeps its spaces and case', () => {
  expect(parsePassword('password', 'Zoe\u0308\u00a0 x y ')).toBe('Zoë  x y ');
  expect(() => parsePassword('password', 'e\u0301'.repeat(7))).toThrow(invalidInput('password'));
  expect(parsePassword('password', 'e\u0301'.repeat(8))).toBe('é'.repeat(8));
  expect(() => parsePassword('password', 'a\tb and more')).toThrow(invalidInput('password'));
  expect(() => parsePassword('password', 'x'.repeat(201))).toThrow(invalidInput('password'));
  expect(parsePassword('password', 'e\u0301'.repeat(200))).toBe('é'.repeat(200));
  expect(passwordForms('secret')).toEqual(['secret']);
});

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom(
      'Σ',
      'ς',
      'İ',
      'ß',
      'ﬁ',
      'e',
      '\u0301',
      '\u0327',
      ' ',
      '\u200d',
      '\u00a0',
      'ㅤ',
      '가',
      'ᄀ',
    ),
  }),
);

/** Returns the parsed value; undefined if the parser throws. */
function parseOrUndefined(
  parse: (field: string, value: string) => string,
  value: string,
): string | undefined {
  try {
    return parse('field', value);
  } catch {
    return undefined;
  }
}

test('the domain after a full-width at sign is encoded as after any other', () => {
  expect(emailKey('ann＠bücher.example')).toBe(emailKey('ann@bücher.example'));
  expect(emailKey('＠«')).toBe(emailKey(emailKey('＠«')));
});

test('accepted texts are accepted again, unchanged', () => {
  fc.assert(
    fc.property(texts, (text) => {
      for (const [parse, value] of [
        [parseName, text],
        [parsePassword, text],
        [parseNewEmail, `${text}@example.com`],
      ] as const) {
        const parsed = parseOrUndefined(parse, value);
        if (parsed !== undefined) expect(parseOrUndefined(parse, parsed)).toBe(parsed);
      }
      expect(emailKey(emailKey(text))).toBe(emailKey(text));
      expect(cutName(cutName(text, 10), 10)).toBe(cutName(text, 10));
    }),
    { numRuns: 2_000 },
  );
});

test('composed and decomposed texts are the same name, e-mail and password', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const [composed, decomposed] = [text.normalize('NFC'), text.normalize('NFD')];
      expect(parseOrUndefined(parseName, composed)).toBe(parseOrUndefined(parseName, decomposed));
      expect(parseOrUndefined(parsePassword, composed)).toBe(parseOrUndefined(parsePassword, decomposed));
      expect(emailKey(composed)).toBe(emailKey(decomposed));
      expect(emailKey(text.toLowerCase())).toBe(emailKey(emailKey(text)));
      expect(passwordForms(decomposed)).toContain(passwordForms(composed)[0]);
    }),
    { numRuns: 2_000 },
  );
});

test('two e-mails that look alike by normalisation never have two keys', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const email = parseOrUndefined(parseNewEmail, `${text}@example.com`);
      if (email === undefined) return;
      for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const) {
        const normalized = parseOrUndefined(parseNewEmail, email.normalize(form));
        if (normalized !== undefined) expect(emailKey(normalized)).toBe(emailKey(email));
      }
    }),
    { numRuns: 2_000 },
  );
});
