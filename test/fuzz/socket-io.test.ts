import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listErrors } from '../../scripts/legacy-contract.ts';
import { CHANNELS, COMMON_ERRORS, USER_NOT_FOUND } from '../../src/bridge/contract/channels.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import {
  BINARY,
  encodeBinaryPayload,
  encodePayload,
  openPollingSession,
  encodeTextPayload,
} from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil } from '../harness/raw-connection.ts';
import type { RawFrame } from '../harness/raw-connection.ts';
import { fuzz } from './fuzz.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { expectNoUnhandledErrors } from '../harness/unhandled-errors.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';

// Random Engine.IO and Socket.IO packets, of protocols 3 and 4, over polling and WebSocket.

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const PROBE_REPLY = '44/probe,{"message":"Invalid namespace"}';

let app: TestGateway;
let otherClient: PacketSocket;
let validFrames: readonly string[];

beforeAll(async () => {
  app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  otherClient = await openPacketSocket(app.url);
  const conversationRef = { conversation_id: conversation.legacyId };
  const eventFrame = (...parts: unknown[]) => `42${JSON.stringify(parts)}`;
  validFrames = [
    eventFrame('authenticate', { token: ann.token }),
    eventFrame('join_circle', { circle_id: circle.legacyId }),
    eventFrame('join_conversation', { ...conversationRef, after_message_id: 0 }),
    eventFrame('message', { ...conversationRef, text_message: 'é😀', files: ['a.png', ['b']] }),
    eventFrame('writing', { ...conversationRef, is_writing: true }),
    eventFrame('webrtc_credentials'),
    eventFrame('webrtc_forward', { user_id: bob.legacyId, message: { type: 'sdp', data: { sdp: 'v=0' } } }),
    eventFrame('leave_conversation', JSON.stringify(conversationRef)),
    eventFrame('disconnect'),
    '421["unknown",1]',
    '451-["message",{"_placeholder":true,"num":0}]',
    '462-7["x",{"_placeholder":true,"num":1}]',
    '431["x"]',
    '40',
    '40/other?token=x,{"a":1}',
    '41',
    '44{"message":"x"}',
    '2',
    '2probe',
    '3',
    '5',
  ];
});

afterAll(async () => {
  await otherClient[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

expectNoUnhandledErrors();

const fragment = fc.oneof(
  fc.constantFrom(
    '"',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '-',
    '/',
    '\\',
    'null',
    '0',
    '1e9',
    '\u0000',
    '\ud800',
    'é',
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
);

/** A valid frame with characters removed or inserted at up to four positions. */
const mutatedFrame = fc
  .tuple(
    fc.nat(),
    fc.array(fc.record({ at: fc.nat(), remove: fc.nat(6), insert: fragment }), {
      minLength: 0,
      maxLength: 4,
    }),
  )
  .map(([pick, edits]) => {
    let frame = validFrames[pick % validFrames.length] ?? '';
    for (const { at, remove, insert } of edits) {
      const index = at % (frame.length + 1);
      frame = frame.slice(0, index) + insert + frame.slice(index + remove);
    }
    return frame;
  });

const frame: fc.Arbitrary<RawFrame> = fc.oneof(
  { weight: 6, arbitrary: mutatedFrame },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.json().map((json) => `42${json}`) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
);

const expectOtherClientServed = async () =>
  expect(await otherClient.request('webrtc_stun_info')).toEqual([STUN]);

/** The texts that clients may receive on `error`, without the one for a bug or an outage. */
const ERROR_TEXTS: ReadonlySet<string> = new Set([
  ...CHANNELS.flatMap(listErrors).map(({ text }) => text),
  ...COMMON_ERRORS.filter(({ when }) => when !== 'any other error occurs').map(({ text }) => text),
  USER_NOT_FOUND,
]);

function expectDocumentedErrors(packets: readonly string[]): void {
  for (const packet of packets.filter((one) => one.startsWith('42["error"'))) {
    const [, text] = JSON.parse(packet.slice(2)) as [string, string];
    expect(ERROR_TEXTS).toContain(text);
  }
}

test('any frames close at most their own connection', async () => {
  const property = fc.asyncProperty(
    fc.constantFrom('websocket' as const, 'polling' as const),
    fc.constantFrom(3 as const, 4 as const),
    fc.boolean(),
    fc.array(frame, { minLength: 1, maxLength: 6 }),
    async (transport, protocol, isLoggedIn, frames) => {
      await using connection = await connectRawConnection(app.url, protocol, transport);
      await connection.send(...(isLoggedIn ? validFrames.slice(0, 3) : []), ...frames);
      // A reply to the probe, or the end of the connection, shows that the server has read all frames.
      await connection.send('40/probe,');
      expectDocumentedErrors(await readPacketsUntil(connection, PROBE_REPLY));
      await expectOtherClientServed();
    },
  );
  await fuzz(property, 150);
});

test('any posted payload closes at most its own session', async () => {
  const edit = fc.record({ at: fc.nat(), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 3 }) });
  const property = fc.asyncProperty(
    fc.constantFrom('EIO=3', 'EIO=3&b64=1', 'EIO=3&j=0', 'EIO=4', ''),
    fc.constantFrom(BINARY, 'text/plain;charset=UTF-8', 'application/x-www-form-urlencoded'),
    fc.constantFrom(encodeTextPayload, encodeBinaryPayload, encodePayload),
    fc.array(mutatedFrame, { maxLength: 4 }),
    fc.array(edit, { maxLength: 3 }),
    async (query, type, encode, packets, edits) => {
      let body = Buffer.from(encode(packets));
      for (const { at, remove, insert } of edits) {
        const index = at % (body.length + 1);
        body = Buffer.concat([body.subarray(0, index), insert, body.subarray(index + remove)]);
      }
      const session = await openPollingSession(app.url, query);
      await session.post(body, type).catch(() => undefined);
      // With protocol 4 there may be no further packet.
      if (query === 'EIO=4') await session.post('40/probe,').catch(() => undefined);
      await session.poll();
      await expectOtherClientServed();
    },
  );
  await fuzz(property, 120);
});

test('any handshake query gets a response', async () => {
  const value = fc.oneof(
    fc.constantFrom('3', '4', 'polling', 'websocket', '__proto__', 'constructor', '[', '%ff', '%00'),
    fc.string({ unit: 'binary', maxLength: 8 }).map((text) => encodeURIComponent(text.toWellFormed())),
  );
  const name = fc.constantFrom('EIO', 'transport', 'sid', 'b64', 'j', 't', '__proto__', 'constructor');
  const pairs = fc.array(fc.tuple(name, value), { maxLength: 5 });
  const property = fc.asyncProperty(pairs, async (parameters) => {
    const query = parameters.map(([key, text]) => `${key}=${text}`).join('&');
    const response = await fetch(`${app.url}/socket.io/?${query}`);
    expect([200, 400]).toContain(response.status);
    await response.arrayBuffer();
    await expectOtherClientServed();
  });
  await fuzz(property, 150);
});
