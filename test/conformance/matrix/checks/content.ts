import { expect } from 'vitest';
import { sendMessage } from '../../../harness/ann-and-bob.ts';
import { LIMITS, success } from '../check.ts';
import type { Cell, Check } from '../check.ts';
import type { MatrixClient } from '../client.ts';
import { binary, fromBuffers, toBuffers } from '../drivers/binary.ts';
import { newestText } from '../matrix-fixtures.ts';
import { doneMessage } from './frames.ts';

const TEXT = 'é€😀';
/** The longest that a message may have, in code points. */
const LONGEST = 8_192;
const LARGE = 64 * 1024;

const encodesTwice = ({ kind, transport }: Cell): boolean =>
  kind.encodesTwice === true && transport !== 'polling';

export const text: Check = {
  title: '`é€😀`',
  about: 'Such text arrives unchanged, both ways; so does a message of 8,192 characters, the maximum.',
  async run(cell) {
    const { openInRooms, ann, conversation } = cell;
    using client = await openInRooms();
    await sendMessage(ann, conversation, TEXT);
    expect(await client.next()).toEqual(['message', doneMessage(cell, 'ann', { content: TEXT })]);
    const twice = encodesTwice(cell);
    await says(cell, client, TEXT, twice ? Buffer.from(TEXT).toString('latin1') : TEXT);
    const longest = (twice ? 'x' : '😀').repeat(LONGEST);
    await says(cell, client, longest, longest);
    return twice ? LIMITS.encodesTwice : undefined;
  },
};

async function says(cell: Cell, client: MatrixClient, sent: string, arrives: string): Promise<void> {
  expect(await client.ask('message', { ...cell.talk, text_message: sent })).toEqual([
    success({ received: true, message_id: expect.any(Number) }),
    ['message', doneMessage(cell, 'bob', { content: arrives })],
  ]);
  expect(await newestText(cell)).toBe(arrives);
}

export const large: Check = {
  title: '64 KB',
  about: 'A text of this size arrives, both ways, in the content of `webrtc_forward`.',
  async run(cell) {
    const { openInRooms, ann, bob, phone, signal, forwarded } = cell;
    using client = await openInRooms();
    const letters = encodesTwice(cell) ? 'abcd' : TEXT;
    const sent = letters.repeat(LARGE / letters.length);
    const content = { user_id: ann.legacyId, message: sent };
    expect(await client.ask('webrtc_forward', content)).toEqual([success('Message forwarded')]);
    expect(await signal()).toEqual({ sender_id: bob.legacyId, is_device: false, content });
    const heard = TEXT.repeat(LARGE / TEXT.length);
    await phone.push('webrtc_forward', { user_id: bob.legacyId, message: heard });
    expect([await client.next(), await client.next()]).toEqual(forwarded(heard));
    return undefined;
  },
};

const BYTES = [0, 200, 255, 13, 10, 127, 128];

export const bytes: Check = {
  title: 'binary',
  about:
    'Binary data in the content of `webrtc_forward` arrives as binary data, both ways. Where a string is expected, its JSON is used.',
  async run(cell) {
    const { kind, openInRooms, ann, bob, phone, signal, talk, forwarded } = cell;
    using client = await openInRooms();
    const arrive = kind.losesBinary === true ? BYTES.map(() => 0) : BYTES;
    const content = (sent: readonly number[]) => ({
      user_id: ann.legacyId,
      message: { a: binary(sent), b: [binary(sent)] },
    });
    expect(await client.ask('webrtc_forward', content(BYTES))).toEqual([success('Message forwarded')]);
    expect(fromBuffers(await signal())).toEqual({
      sender_id: bob.legacyId,
      is_device: false,
      content: content(arrive),
    });
    await phone.push('webrtc_forward', { user_id: bob.legacyId, message: toBuffers(binary(BYTES)) });
    expect([await client.next(), await client.next()]).toEqual(forwarded(binary(BYTES)));
    expect(await client.ask('message', { ...talk, text_message: binary(BYTES) })).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
      ['message', doneMessage(cell, 'bob', { content: JSON.stringify({ type: 'Buffer', data: arrive }) })],
    ]);
    return kind.losesBinary === true ? LIMITS.losesBinary : undefined;
  },
};
