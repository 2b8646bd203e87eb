import { expect, test } from 'vitest';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { framesOf, framesOfEphemeral } from '../../src/bridge/contract/event-frames.ts';
import { encodeEvent } from '../../src/bridge/engine-io/socket-io-parser.ts';
import { decodeEvent } from '../harness/legacy-types.ts';

// In the frames of every event, each field has the type to which apps cast it without a check.

const frames = [
  ...Object.values(EVENT_SAMPLES).flatMap((samples) => samples.flatMap(({ event }) => framesOf(event))),
  ...EPHEMERAL_SAMPLES.flatMap(({ event }) => framesOfEphemeral(event, ['webrtc_forward', 'webrtc_config'])),
];

test.for(frames.map(({ channel, payload }) => encodeEvent(channel, payload)))(
  'each field has the type that apps cast it to: %s',
  (packet) => {
    decodeEvent(`4${packet}`);
  },
);

test.for([
  '42["message",{"message":{"link_id":null}}]',
  '42["message",{"message":{"id":"7"}}]',
  '42["message",{"message":{"id":2147483648}}]',
  '42["message",{"message":{"content":null}}]',
  '42["message",{"media_list":{}}]',
  '42["message",{"sender":{"isOnline":1}}]',
  '42["writing",{"device":0}]',
  '42["webrtc_forward",{"sender_id":"7","content":{}}]',
])('a frame with a field of another type is rejected: %s', (packet) => {
  expect(() => decodeEvent(packet)).toThrow(TypeError);
});
