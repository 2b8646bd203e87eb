import { expect, test } from 'vitest';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { encodeDate, encodeIceServer } from '../../src/bridge/contract/encoders.ts';
import type { Frame } from '../../src/bridge/contract/encoders.ts';
import { framesOf, framesOfEphemeral } from '../../src/bridge/contract/event-frames.ts';
import type { MessageId, ParticipantId, UserId } from '../../src/ids.ts';
import { sampleEvent } from './sample-events.ts';

/** Formats frames as text, because the order of keys is part of the contract. */
const formatFrames = (frames: readonly Frame[]) =>
  frames.map(({ channel, payload }) => `${channel} ${JSON.stringify(payload)}`).join('\n');

test('every event is encoded as the documented frames', () => {
  const lines = Object.entries(EVENT_SAMPLES).flatMap(([type, samples]) =>
    samples.length === 0
      ? [`${type}: nothing`]
      : samples.map(({ event }) => `${type}: ${formatFrames(framesOf(event))}`),
  );
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "circle.invited: circle_invite {"event":"invite","circle_id":3,"circle_invite_id":5}
    member.joined: circle {"event":"join","user":"bob@example.com","circle_id":3}
    member.left: circle {"event":"quit","user":"bob@example.com","circle_id":3}
    member.kicked: circle {"event":"kick","user":"bob@example.com","from":"ann@example.com","circle_id":3}
    circle.updated: circle {"event":"update","circle_id":3}
    circle.deleted: circle {"event":"delete","circle_id":3}
    device.added: device created {"circle_id":3}
    device.updated: circle {"event":"device","type":"update","device_id":4,"circle_id":3}
    device.removed: circle {"event":"device","type":"disconnect","device_id":4,"circle_id":3}
    conversation.updated: conversation {"event":"update","conversation_id":12}
    conversation.invited: conversation {"event":"invite","conversation_id":12}
    conversation.promoted: conversation {"event":"promoted","conversation_id":12}
    participant.kicked: conversation {"event":"kick","user":"bob@example.com","from":"ann@example.com","conversation_id":12}
    participant.left: conversation {"event":"quit","user":"bob@example.com","conversation_id":12}
    device-access.changed: conversation {"event":"device","type":"add","conversation_id":12}
    device-access.changed: conversation {"event":"device","type":"remove","conversation_id":12}
    message.sent: message {"conversation_id":12,"message":{"id":40,"link_id":20,"sent":"2018-12-07T10:10:43.123000","read":null,"content":"Bonjour","medias":0},"time":"2018-12-07T10:10:43.123000","sender":{"id":7,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"2018-12-07T10:00:00","updated":"2018-12-07T10:00:00","isOnline":true,"type":"DEFAULT"},"media_list":[],"status":"done"}
    message.sent: message {"conversation_id":12,"message":{"id":40,"device_id":4,"sent":"2018-12-07T10:10:43.123000","read":null,"content":"Bonjour","medias":0},"time":"2018-12-07T10:10:43.123000","sender":{"id":4,"name":"Living room","created":"2018-12-07T10:00:00","updated":"2018-12-07T10:00:00","circle_id":3,"activated":true,"username":"living-room-4","is_online":true},"media_list":[],"status":"done"}
    message.sent: message {"conversation_id":12,"message":{"id":40,"link_id":20,"sent":"2018-12-07T10:10:43.123000","read":null,"content":"Bonjour","medias":2},"status":"pending"}
    media.uploaded: message {"conversation_id":12,"message":{"id":40,"link_id":20,"sent":"2018-12-07T10:10:43.123000","read":null,"content":"Bonjour","medias":2},"sender":{"id":7,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"2018-12-07T10:00:00","updated":"2018-12-07T10:00:00","isOnline":true,"type":"DEFAULT"},"media":{"id":60,"filename":"cake","extension":".png","identifier":"cake.png","uploaded":"True"},"status":"done"}
    media.uploaded: message {"conversation_id":12,"message":{"id":40,"link_id":20,"sent":"2018-12-07T10:10:43.123000","read":null,"content":"Bonjour","medias":1},"time":"2018-12-07T10:10:43.123000","sender":{"id":7,"email":"ann@example.com","first_name":"Ann","last_name":"Martin","birthday":"1995-12-12T00:00:00","created":"2018-12-07T10:00:00","updated":"2018-12-07T10:00:00","isOnline":true,"type":"DEFAULT"},"media_list":[{"id":60,"filename":"cake","extension":".png","identifier":"cake.png","uploaded":"True"}],"media":{"id":60,"filename":"cake","extension":".png","identifier":"cake.png","uploaded":"True"},"status":"done"}
    message.updated: message {"conversation_id":12,"message_id":40,"event":"update"}
    message.deleted: message {"conversation_id":12,"message_id":40,"event":"delete"}
    conversation.deleted: nothing
    participant.joined: nothing
    participant.promoted: nothing
    read-state.changed: nothing
    session.ended: nothing
    call.started: nothing
    call.participant-joined: nothing
    call.participant-left: nothing
    call.ended: nothing
    account.deleted: nothing"
  `);
});

test('every ephemeral event is encoded as the documented frames', () => {
  const lines = EPHEMERAL_SAMPLES.map(
    ({ event }) =>
      `${event.type}: ${formatFrames(framesOfEphemeral(event, ['webrtc_forward', 'webrtc_config']))}`,
  );
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "presence: circle {"event":"connect","user":"ann@example.com","circle_id":3}
    presence: circle {"event":"disconnect","user":"ann@example.com","circle_id":3}
    presence: circle {"event":"device","type":"connect","device_id":4,"circle_id":3}
    presence: circle {"event":"device","type":"disconnect","device_id":4,"circle_id":3}
    typing: writing {"conversation_id":12,"device":false,"user":"ann@example.com","is_writing":true}
    typing: writing {"conversation_id":12,"device":true,"is_writing":true}
    signal: webrtc_forward {"sender_id":7,"is_device":false,"content":{"user_id":8,"message":"CALLING"}}
    webrtc_config {"sender_id":7,"is_device":false,"content":{"user_id":8,"message":"CALLING"}}"
  `);
});

test('a device that is removed while offline sends no disconnect frame', () => {
  expect(framesOf({ ...sampleEvent('device.removed'), online: false })).toEqual([]);
});

test('read receipts, and a conversation that turns them on or off, send no frame', () => {
  expect(framesOf({ ...sampleEvent('conversation.updated'), changed: 'readReceipts' })).toEqual([]);
  const receipt = {
    reader: { kind: 'user', id: 8 as UserId },
    participantId: 21 as ParticipantId,
    messageId: 40 as MessageId,
  } as const;
  expect(framesOfEphemeral({ type: 'read-receipt', topic: 'read:12', receipt }, [])).toEqual([]);
});

test('a forwarded payload is sent on the channels of the connection', () => {
  const sample = EPHEMERAL_SAMPLES.find(({ event }) => event.type === 'signal');
  expect(sample && framesOfEphemeral(sample.event, ['webrtc_forward']).map(({ channel }) => channel)).toEqual(
    ['webrtc_forward'],
  );
});

test.for([
  ['2018-12-07T10:10:43.123Z', '2018-12-07T10:10:43.123000'],
  ['2018-12-07T10:10:43.120Z', '2018-12-07T10:10:43.120000'],
  ['2018-12-07T10:10:43.000Z', '2018-12-07T10:10:43'],
  ['2018-12-07T10:10:43.123456Z', '2018-12-07T10:10:43.123456'],
  ['1995-12-12', '1995-12-12T00:00:00'],
] as const)('%s is encoded as %s', ([isoDate, legacyDate]) => {
  expect(encodeDate(isoDate)).toBe(legacyDate);
});

test.for([
  ['stun:webrtc.neo.ovh:3478', { domain: 'webrtc.neo.ovh', ip: '', port: 3478 }],
  ['turn:example.com', { domain: 'example.com', ip: '', port: 3478 }],
  ['turns:example.com:443?transport=tcp', { domain: 'example.com', ip: '', port: 443 }],
  ['turn:example.com?transport=udp', { domain: 'example.com', ip: '', port: 3478 }],
] as const)('%s is encoded as domain and port', ([url, server]) => {
  expect(encodeIceServer(url)).toEqual(server);
});
