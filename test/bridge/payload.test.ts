import { expect, test } from 'vitest';
import {
  hasField,
  parseFiles,
  parseFlag,
  parsePayload,
  parseText,
} from '../../src/bridge/contract/payload.ts';

test.for([
  [{ a: 1 }, { a: 1 }],
  ['{"a":1}', { a: 1 }],
  ['[1]', {}],
  ['"a"', {}],
  ['{', {}],
  [`{"a":[${'{},'.repeat(20_000)}{}]}`, {}],
  ['', {}],
  [undefined, {}],
  [null, {}],
  [7, {}],
  [true, {}],
  [['a'], {}],
  [Buffer.from('{"a":1}'), {}],
])('%j is the payload %j', ([argument, payload]) => {
  expect(parsePayload(argument)).toEqual(payload);
});

test('null counts as present, and inherited keys do not', () => {
  expect(hasField({ token: null }, 'token')).toBe(true);
  expect(hasField({}, 'token')).toBe(false);
  expect(hasField({}, 'toString')).toBe(false);
});

test.for([
  [undefined, ''],
  [null, ''],
  ['Bonjour', 'Bonjour'],
  [5, '5'],
  [true, 'true'],
  [{ a: [1] }, '{"a":[1]}'],
])('the text of %j is %j', ([value, text]) => {
  expect(parseText(value)).toBe(text);
});

test.for([
  [undefined, null],
  [null, null],
  [[], []],
  [['a.png'], ['a.png']],
  [[['E621E1F8', 'C36C']], ['{E621E1F8,C36C}']],
  [
    [1, null, { a: 1 }],
    ['1', '', '{"a":1}'],
  ],
  ['a.png', undefined],
  [{ 0: 'a' }, undefined],
  [7, undefined],
])('the files of %j are %j', ([value, files]) => {
  expect(parseFiles(value)).toEqual(files);
});

test.for([
  [true, true],
  [false, false],
  ['True', true],
  ['False', false],
  ['false', false],
  ['0', false],
  ['', false],
  [1, true],
  [0, false],
  [null, false],
])('%j as a flag is %j', ([value, flag]) => {
  expect(parseFlag(value)).toBe(flag);
});
