import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Notice } from '../../src/events/bus.ts';
import { createDecoder, encodeNotice } from '../../src/events/cluster/notice-codec.ts';
import { createNumberedEvent, TOPIC, createTyping, createActorView } from '../harness/event-core.ts';

const MAX_BYTES = 7_900;

const createSignalNotice = (content: unknown): Notice => ({
  kind: 'ephemeral',
  ephemeral: { type: 'signal', topic: 'user:7', sender: createActorView(1), content, legacyLease: 3 },
});

const createEventNotice = (text: string): Notice => ({
  kind: 'event',
  envelope: { topic: TOPIC, seq: 12, at: text, event: createNumberedEvent(1) },
});

const encode = (origin: string, number: number, notice: Notice, withTopic = true): string[] =>
  encodeNotice(notice, { origin, number, maxBytes: MAX_BYTES, withTopic });

function createNoticeDecoder(origin: string, withTopic = true): (text: string) => Notice | undefined {
  const decode = createDecoder({ origin, withTopic });
  return (text) => decode(text)?.notice;
}

/** Encodes a notice and decodes its texts on another node. */
function transmit(notice: Notice, decode = createNoticeDecoder('ff')): (Notice | undefined)[] {
  const texts = encode('aa', 1, notice);
  for (const text of texts) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_BYTES);
  return texts.map(decode);
}

test('a small notice is one text', () => {
  expect(transmit(createEventNotice('2026-01-01T00:00:00.000Z'))).toEqual([
    createEventNotice('2026-01-01T00:00:00.000Z'),
  ]);
  expect(transmit({ kind: 'ephemeral', ephemeral: createTyping(1) })).toEqual([
    { kind: 'ephemeral', ephemeral: createTyping(1) },
  ]);
  expect(transmit({ kind: 'advanced', topic: TOPIC, seq: 3 })).toEqual([
    { kind: 'advanced', topic: TOPIC, seq: 3 },
  ]);
});

test('an event that is too large is replaced by its position', () => {
  expect(transmit(createEventNotice('x'.repeat(9_000)))).toEqual([
    { kind: 'advanced', topic: TOPIC, seq: 12 },
  ]);
  // The limit is in bytes, not in characters.
  expect(transmit(createEventNotice('é'.repeat(4_500)))).toEqual([
    { kind: 'advanced', topic: TOPIC, seq: 12 },
  ]);
});

test('a large signal is sent in chunks, unchanged', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }),
      fc.integer({ min: 1, max: 1_500 }),
      (value, times) => {
        const content = { value, padding: 'aé€😀\u2028"\\'.repeat(times) };
        const notices = transmit(createSignalNotice(content)).filter((notice) => notice !== undefined);
        expect(notices).toEqual([createSignalNotice(JSON.parse(JSON.stringify(content)))]);
      },
    ),
    { numRuns: 30 },
  );
});

test('a signal beyond the maximum size is dropped', () => {
  expect(encode('aa', 1, createSignalNotice('x'.repeat(3_000_000)))).toEqual([]);
});

test('the largest signal that the domain accepts can be sent, in any encoding', () => {
  for (const character of ['x', 'é', '€', '😀', '"', '\u0001']) {
    const bytes = Buffer.byteLength(JSON.stringify(character)) - 2;
    const content = character.repeat(Math.floor(262_000 / bytes));
    expect(transmit(createSignalNotice(content)).at(-1)).toEqual(createSignalNotice(content));
  }
});

test('a node ignores its own texts', () => {
  expect(transmit(createEventNotice('now'), createNoticeDecoder('aa'))).toEqual([undefined]);
});

test('chunks of several senders do not mix, and an incomplete set is dropped', () => {
  const decode = createNoticeDecoder('ff');
  const a = encode('aa', 1, createSignalNotice('a'.repeat(20_000)));
  const b = encode('bb', 1, createSignalNotice('b'.repeat(20_000)));
  const incomplete = encode('aa', 2, createSignalNotice('c'.repeat(20_000))).toSpliced(1, 1);
  const complete = encode('aa', 3, createSignalNotice('d'.repeat(20_000)));
  const texts = [...a.flatMap((text, index) => [text, b[index] ?? '']), ...incomplete, ...complete];
  const notices = texts.map(decode).filter((notice) => notice !== undefined);
  expect(notices).toEqual([
    createSignalNotice('a'.repeat(20_000)),
    createSignalNotice('b'.repeat(20_000)),
    createSignalNotice('d'.repeat(20_000)),
  ]);
});

test('the texts of the common channel have no topic, as nodes of older versions expect', () => {
  const notice = createEventNotice('now');
  const [text = ''] = encode('aa', 7, notice, false);
  expect(text).toBe(`aa 7 0/1 ${JSON.stringify(notice)}`);
  expect(createNoticeDecoder('ff', false)(text)).toEqual(notice);
});

test('a notice of a topic without readers is dropped before its JSON is parsed', () => {
  const decode = createDecoder({ origin: 'ff', withTopic: true, isWanted: (topic) => topic === TOPIC });
  expect(decode(`aa 1 0/1 ${TOPIC} {"kind":"advanced"}`)?.notice).toEqual({ kind: 'advanced' });
  expect(decode('aa 2 0/1 conversation:999 not JSON')).toBeUndefined();
});

test('a receiver is asked to confirm a notice only if its sender waits for it', () => {
  const decode = createDecoder({ origin: 'ff', withTopic: true });
  const encoding = { origin: 'aa', number: 5, maxBytes: MAX_BYTES, withTopic: true };
  const notice = createEventNotice('now');
  for (const mustConfirm of [false, true]) {
    const [text = ''] = encodeNotice(notice, { ...encoding, mustConfirm });
    expect(decode(text)).toEqual({ notice, from: 'aa', number: 5, mustConfirm });
  }
});

test('any other text on the channel is ignored', () => {
  const decode = createNoticeDecoder('ff');
  for (const text of ['', 'hello', 'aa 1 0/1', 'zz 1 0/1 {}', 'aa 1 2/3 x'])
    expect(decode(text)).toBeUndefined();
});

test('equal notices have different texts, as PostgreSQL drops duplicates within a transaction', () => {
  const notice: Notice = { kind: 'ephemeral', ephemeral: createTyping(1) };
  expect(encode('aa', 1, notice)).not.toEqual(encode('aa', 2, notice));
});

test('binary data of a signal is preserved at any path and beside any value', () => {
  const content = {
    message: { data: Buffer.from([0, 255]), parts: [Buffer.from('é'), 'é'] },
    binary: [['message'], 'AAAA'],
    ['__proto__']: { type: 'Buffer', data: [1] },
  };
  const large = { data: Buffer.alloc(20_000, 7) };
  for (const value of [content, large])
    expect(transmit(createSignalNotice(value)).at(-1)).toEqual(createSignalNotice(value));
  expect(transmit(createSignalNotice({ data: new Uint8Array([1, 2]) }))).toEqual([
    createSignalNotice({ data: Buffer.from([1, 2]) }),
  ]);
});

test('the maximum of binary data in a signal can be sent, even under a long key', () => {
  const parts = Array.from({ length: 10 }, (_, index) => Buffer.alloc(1_000, index));
  const notice = createSignalNotice({ ['é'.repeat(100_000)]: parts });
  expect(transmit(notice).at(-1)).toEqual(notice);
});
