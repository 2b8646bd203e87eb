import { expect } from 'vitest';
import { sendMessage } from '../../../harness/ann-and-bob.ts';
import { LIMITATIONS, success } from '../check.ts';
import type { Cell, Check } from '../check.ts';
import type { MatrixClient } from '../client.ts';
import { encodeBinary, fromBuffers, toBuffers } from '../drivers/binary.ts';
import { readNewestText } from '../fixture.ts';
import { doneMessage } from './frames.ts';

const TEXT = 'é€😀';
/** The maximum length of a message, in code points. */
const MAX_LENGTH = 8_192;
const LARGE_LENGTH = 64 * 1024;

const encodesTwice = ({ kind, transport }: Cell): boolean =>
  kind.encodesTwice === true && transport !== 'polling';

export const textCheck: Check = {
  title: '`é€😀`',
  description: 'Such text arrives unchanged, both ways; so does a message of 8,192 characters, the maximum.',
  async run(cell) {
    const { connectInRooms, ann, conversation } = cell;
    using client = await connectInRooms();
    await sendMessage(ann, conversation, TEXT);
    expect(await client.next()).toEqual(['message', doneMessage(cell, 'ann', { content: TEXT })]);
    const isEncodedTwice = encodesTwice(cell);
    await sendAndExpect(cell, client, TEXT, isEncodedTwice ? Buffer.from(TEXT).toString('latin1') : TEXT);
    const longest = (isEncodedTwice ? 'x' : '😀').repeat(MAX_LENGTH);
    await sendAndExpect(cell, client, longest, longest);
    return isEncodedTwice ? LIMITATIONS.doubleEncoding : undefined;
  },
};

/** Sends a text as Bob, and expects it as `stored` in the replies and over GraphQL. */
async function sendAndExpect(cell: Cell, client: MatrixClient, sent: string, stored: string): Promise<void> {
  expect(await client.request('message', { ...cell.conversationRef, text_message: sent })).toEqual([
    success({ received: true, message_id: expect.any(Number) }),
    ['message', doneMessage(cell, 'bob', { content: stored })],
  ]);
  expect(await readNewestText(cell)).toBe(stored);
}

export const largeTextCheck: Check = {
  title: '64 KB',
  description: 'A text of this size arrives, both ways, in the content of `webrtc_forward`.',
  async run(cell) {
    const { connectInRooms, ann, bob, annLegacyClient, nextSignal, signalFrames } = cell;
    using client = await connectInRooms();
    const unit = encodesTwice(cell) ? 'abcd' : TEXT;
    const sent = unit.repeat(LARGE_LENGTH / unit.length);
    const content = { user_id: ann.legacyId, message: sent };
    expect(await client.request('webrtc_forward', content)).toEqual([success('Message forwarded')]);
    expect(await nextSignal()).toEqual({ sender_id: bob.legacyId, is_device: false, content });
    const received = TEXT.repeat(LARGE_LENGTH / TEXT.length);
    await annLegacyClient.push('webrtc_forward', { user_id: bob.legacyId, message: received });
    expect([await client.next(), await client.next()]).toEqual(signalFrames(received));
    return undefined;
  },
};

const BYTES = [0, 200, 255, 13, 10, 127, 128];

export const binaryCheck: Check = {
  title: 'binary',
  description:
    'Binary data in the content of `webrtc_forward` arrives as binary data, both ways. Where a string is expected, its JSON is used.',
  async run(cell) {
    const { kind, connectInRooms, ann, bob, annLegacyClient, nextSignal, conversationRef, signalFrames } =
      cell;
    using client = await connectInRooms();
    const receivedBytes = kind.losesBinary === true ? BYTES.map(() => 0) : BYTES;
    const contentOf = (bytes: readonly number[]) => ({
      user_id: ann.legacyId,
      message: { a: encodeBinary(bytes), b: [encodeBinary(bytes)] },
    });
    expect(await client.request('webrtc_forward', contentOf(BYTES))).toEqual([success('Message forwarded')]);
    expect(fromBuffers(await nextSignal())).toEqual({
      sender_id: bob.legacyId,
      is_device: false,
      content: contentOf(receivedBytes),
    });
    await annLegacyClient.push('webrtc_forward', {
      user_id: bob.legacyId,
      message: toBuffers(encodeBinary(BYTES)),
    });
    expect([await client.next(), await client.next()]).toEqual(signalFrames(encodeBinary(BYTES)));
    expect(
      await client.request('message', { ...conversationRef, text_message: encodeBinary(BYTES) }),
    ).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
      [
        'message',
        doneMessage(cell, 'bob', { content: JSON.stringify({ type: 'Buffer', data: receivedBytes }) }),
      ],
    ]);
    return kind.losesBinary === true ? LIMITATIONS.binaryLoss : undefined;
  },
};
