import { expect } from 'vitest';
import { refusal, success } from '../check.ts';
import type { Check } from '../check.ts';
import { doneMessage } from './frames.ts';

const CONFIG = [{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }];

export const sends: Check = {
  title: 'sends',
  about:
    'Every channel that the server listens on: `authenticate`, `join_*` and `leave_*`, `message`, `writing`, `webrtc_*`; with their `success`, their `error`, and their other replies.',
  async run(cell) {
    const { open, bob, ann, circle, talk, signal } = cell;
    const circleId = { circle_id: circle.legacyId };
    using client = await open();
    expect(await client.ask('join_conversation', talk)).toEqual([refusal('Socket user introuvable')]);
    expect(await client.ask('authenticate', { token: bob.token })).toEqual([success('User authenticated')]);
    expect(await client.ask('join_circle', { circle_id: 0 })).toEqual([
      refusal("Vous n'appartenez pas a ce cercle"),
    ]);
    expect(await client.ask('join_circle', circleId)).toEqual([
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
    ]);
    expect(await client.ask('join_conversation', talk)).toEqual([
      success(`Vous avez rejoins la conversation : conversation_${talk.conversation_id}`),
    ]);
    expect(await client.ask('message', { ...talk, text_message: 'Bonjour' })).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
      ['message', doneMessage(cell, 'bob', { content: 'Bonjour' })],
    ]);
    for (const is_writing of [true, false]) {
      expect(await client.ask('writing', { ...talk, is_writing })).toEqual([
        success('Writing sent'),
        ['writing', { ...talk, device: false, user: bob.login, is_writing }],
      ]);
    }
    expect(await client.ask('webrtc_credentials')).toEqual([
      [
        'webrtc_config',
        {
          username: expect.stringMatching(new RegExp(`^\\d+:${bob.legacyId}False$`)),
          password: expect.stringMatching(/^[\w+/]+=*$/),
        },
      ],
    ]);
    expect(await client.ask('webrtc_stun_info')).toEqual([['webrtc_config', CONFIG]]);
    expect(await client.ask('webrtc_turn_info')).toEqual([['webrtc_config', CONFIG]]);
    const content = { email: ann.login, message: { type: 'sdp', data: [1.5, null, true, 'v=0'] } };
    expect(await client.ask('webrtc_forward', content)).toEqual([success('Message forwarded')]);
    expect(await signal()).toEqual({ sender_id: bob.legacyId, is_device: false, content });
    for (const nothing of ['webrtc_join_room', 'webrtc_leave_room', 'webrtc_room_forward']) {
      expect(await client.ask(nothing, { room: 1 })).toEqual([]);
    }
    expect(await client.ask('leave_conversation', talk)).toEqual([
      success('Vous avez quitte la conversation'),
    ]);
    expect(await client.ask('leave_circle', circleId)).toEqual([success('Vous avez quitte le cercle')]);
    expect(await client.ask('message', { ...talk, text_message: 'From outside' })).toEqual([
      success({ received: true, message_id: expect.any(Number) }),
    ]);
    return undefined;
  },
};

export const acknowledges: Check = {
  title: 'acks',
  about: 'A requested acknowledgement arrives, without arguments, after the reply; on unknown channels too.',
  async run({ openInRooms, talk }) {
    using client = await openInRooms();
    expect(await client.acknowledged('writing', { ...talk, is_writing: true })).toEqual([]);
    expect(await client.next()).toEqual(success('Writing sent'));
    expect(await client.nextOn('writing')).toMatchObject({ is_writing: true });
    expect(await client.acknowledged('webrtc_credentials')).toEqual([]);
    expect(await client.nextOn('webrtc_config')).toMatchObject({ username: expect.any(String) });
    expect(await client.acknowledged('message', {})).toEqual([]);
    expect(await client.next()).toEqual(refusal('Param conversation_id introuvable'));
    expect(await client.acknowledged('no_such_channel', talk)).toEqual([]);
    return undefined;
  },
};
