import { expect } from 'vitest';
import { error, success } from '../check.ts';
import type { Check } from '../check.ts';
import { doneMessage } from './frames.ts';

const SERVERS = [{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }];

export const sendCheck: Check = {
  title: 'sends',
  description:
    'Every channel that the server listens on: `authenticate`, `join_*` and `leave_*`, `message`, `writing`, `webrtc_*`; with their `success`, their `error`, and their other replies.',
  async run(cell) {
    const { connect, bob, ann, circle, conversationRef, nextSignal } = cell;
    const circleRef = { circle_id: circle.legacyId };
    using client = await connect();
    expect(await client.request('join_conversation', conversationRef)).toEqual([
      error('Socket user introuvable'),
    ]);
    expect(await client.request('authenticate', { token: bob.token })).toEqual([
      success('User authenticated'),
    ]);
    expect(await client.request('join_circle', { circle_id: 0 })).toEqual([
      error("Vous n'appartenez pas a ce cercle"),
    ]);
    expect(await client.request('join_circle', circleRef)).toEqual([
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
    ]);
    expect(await client.request('join_conversation', conversationRef)).toEqual([
      success(`Vous avez rejoins la conversation : conversation_${conversationRef.conversation_id}`),
    ]);
    expect(await client.request('message', { ...conversationRef, text_message: 'Bonjour' })).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
      ['message', doneMessage(cell, 'bob', { content: 'Bonjour' })],
    ]);
    for (const is_writing of [true, false]) {
      expect(await client.request('writing', { ...conversationRef, is_writing })).toEqual([
        success('Writing sent'),
        ['writing', { ...conversationRef, device: false, user: bob.login, is_writing }],
      ]);
    }
    expect(await client.request('webrtc_credentials')).toEqual([
      [
        'webrtc_config',
        {
          username: expect.stringMatching(new RegExp(`^\\d+:${bob.legacyId}False$`)),
          password: expect.stringMatching(/^[\w+/]+=*$/),
        },
      ],
    ]);
    expect(await client.request('webrtc_stun_info')).toEqual([['webrtc_config', SERVERS]]);
    expect(await client.request('webrtc_turn_info')).toEqual([['webrtc_config', SERVERS]]);
    const content = { email: ann.login, message: { type: 'sdp', data: [1.5, null, true, 'v=0'] } };
    expect(await client.request('webrtc_forward', content)).toEqual([success('Message forwarded')]);
    expect(await nextSignal()).toEqual({ sender_id: bob.legacyId, is_device: false, content });
    for (const channel of ['webrtc_join_room', 'webrtc_leave_room', 'webrtc_room_forward']) {
      expect(await client.request(channel, { room: 1 })).toEqual([]);
    }
    expect(await client.request('leave_conversation', conversationRef)).toEqual([
      success('Vous avez quitte la conversation'),
    ]);
    expect(await client.request('leave_circle', circleRef)).toEqual([success('Vous avez quitte le cercle')]);
    expect(await client.request('message', { ...conversationRef, text_message: 'From outside' })).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
    ]);
    return undefined;
  },
};

export const acknowledgementCheck: Check = {
  title: 'acks',
  description:
    'A requested acknowledgement arrives, without arguments, after the reply; on unknown channels too.',
  async run({ connectInRooms, conversationRef }) {
    using client = await connectInRooms();
    // Ends the typing, too: otherwise its expiry after 15 s would reach the client of a later check.
    for (const is_writing of [true, false]) {
      expect(await client.emitWithAck('writing', { ...conversationRef, is_writing })).toEqual([]);
      expect(await client.next()).toEqual(success('Writing sent'));
      expect(await client.nextOn('writing')).toMatchObject({ is_writing });
    }
    expect(await client.emitWithAck('webrtc_credentials')).toEqual([]);
    expect(await client.nextOn('webrtc_config')).toMatchObject({ username: expect.any(String) });
    expect(await client.emitWithAck('message', {})).toEqual([]);
    expect(await client.next()).toEqual(error('Param conversation_id introuvable'));
    expect(await client.emitWithAck('no_such_channel', conversationRef)).toEqual([]);
    return undefined;
  },
};
