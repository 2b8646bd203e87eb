import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeCursor, parseCursor } from '../../src/events/cursor.ts';

const EPOCH = '1f2e3d4c';
const TOPIC = 'conversation:12';
const invalidCursor = expect.objectContaining({ code: 'CURSOR_INVALID' });

test('a cursor decodes to its position', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (seq) => {
      expect(parseCursor(EPOCH, TOPIC, encodeCursor(EPOCH, TOPIC, seq))).toBe(seq);
    }),
  );
});

test('the same position always has the same cursor', () => {
  expect(encodeCursor(EPOCH, TOPIC, 42)).toBe(encodeCursor(EPOCH, TOPIC, 42));
});

test.each([
  ['empty', ''],
  ['blank', ' '],
  ['of another topic', encodeCursor(EPOCH, 'conversation:1', 2)],
  ['of another kind of topic', encodeCursor(EPOCH, 'circle:12', 2)],
  ['of another database', encodeCursor('00000000', TOPIC, 2)],
  ['negative', Buffer.from(`${EPOCH}/${TOPIC}/-1`).toString('base64url')],
  ['minus zero', Buffer.from(`${EPOCH}/${TOPIC}/-0`).toString('base64url')],
  ['a fraction', Buffer.from(`${EPOCH}/${TOPIC}/1.5`).toString('base64url')],
  ['not a number', Buffer.from(`${EPOCH}/${TOPIC}/NaN`).toString('base64url')],
  ['without a number', Buffer.from(`${EPOCH}/${TOPIC}/`).toString('base64url')],
  ['with leading zeros', Buffer.from(`${EPOCH}/${TOPIC}/007`).toString('base64url')],
  ['in another notation', Buffer.from(`${EPOCH}/${TOPIC}/1e3`).toString('base64url')],
  ['beyond the safe integers', Buffer.from(`${EPOCH}/${TOPIC}/9007199254740993`).toString('base64url')],
  ['padded', `${encodeCursor(EPOCH, TOPIC, 7)}=`],
  ['with a trailing space', `${encodeCursor(EPOCH, TOPIC, 7)} `],
  ['followed by more', `${encodeCursor(EPOCH, TOPIC, 7)}${encodeCursor(EPOCH, TOPIC, 7)}`],
  ['in plain text', `${EPOCH}/${TOPIC}/7`],
  ['too long', 'A'.repeat(201)],
  ['much too long', 'A'.repeat(10_000_000)],
])('a cursor that is %s is invalid', (_description, cursor) => {
  expect(() => parseCursor(EPOCH, TOPIC, cursor)).toThrow(invalidCursor);
});

test('no other text is accepted as a cursor', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 250 }), (text) => {
      expect(() => parseCursor(EPOCH, TOPIC, text)).toThrow(invalidCursor);
    }),
  );
});
