import { expect } from 'vitest';
import { createDevice } from '../../../../src/testing/index.ts';
import { LIMITS, refusal, success } from '../check.ts';
import type { Check } from '../check.ts';
import { date } from './frames.ts';

export const chatScreen: Check = {
  title: 'chat screen',
  about:
    'Events that an app sends in one tick on connect are replied to in order: login, rooms, five messages.',
  async run({ kind, transport, open, bob, circle, talk }) {
    // Sent while it may be on either transport.
    const text = kind.encodesTwice === true && transport !== 'polling' ? 'Hello' : 'Ça va, été ? 日本 😀';
    const numbers = [0, 1, 2, 3, 4];
    using client = await open({
      greeting: [
        ['authenticate', { token: bob.token }],
        ['join_circle', { circle_id: 0 }],
        ['join_circle', { circle_id: circle.legacyId }],
        ['join_conversation', talk],
        ...numbers.map((n) => ['message', { ...talk, text_message: `${text} ${n}` }] as const),
      ],
    });
    const opening = [
      success('User authenticated'),
      refusal("Vous n'appartenez pas a ce cercle"),
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
      success(`Vous avez rejoins la conversation : conversation_${talk.conversation_id}`),
    ];
    for (const frame of opening) expect(await client.next()).toEqual(frame);
    for (const n of numbers) {
      expect(await client.next()).toEqual(success({ received: true, message_id: expect.any(Number) }));
      expect(await client.next()).toEqual([
        'message',
        expect.objectContaining({ message: expect.objectContaining({ content: `${text} ${n}` }) }),
      ]);
    }
    return undefined;
  },
};

export const callScreen: Check = {
  title: 'call screen',
  about:
    'So are those of a call; and `QUITTING`, after which the app closes immediately, still reaches the other side.',
  async run({ kind, open, ann, bob, signal }) {
    const say = (message: string) => ['webrtc_forward', { user_id: ann.legacyId, message }] as const;
    const heard = (message: string) => ({
      sender_id: bob.legacyId,
      is_device: false,
      content: { user_id: ann.legacyId, message },
    });
    using client = await open({
      greeting: [
        ['authenticate', { token: bob.token }],
        ['webrtc_credentials'],
        ['webrtc_stun_info'],
        say('CALLING'),
      ],
    });
    expect(await client.next()).toEqual(success('User authenticated'));
    expect(await client.nextOn('webrtc_config')).toEqual({
      username: expect.any(String),
      password: expect.any(String),
    });
    expect(await client.nextOn('webrtc_config')).toEqual([{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }]);
    expect(await client.next()).toEqual(success('Message forwarded'));
    expect(await signal()).toEqual(heard('CALLING'));
    if (kind.dropsOnClose === true) await client.acknowledged(...say('QUITTING'));
    else client.emit(...say('QUITTING'));
    client.close();
    expect(await signal()).toEqual(heard('QUITTING'));
    return kind.dropsOnClose === true ? LIMITS.dropsOnClose : undefined;
  },
};

export const device: Check = {
  title: 'device',
  about: 'The same client as a device of the circle: writes, sends files, and is logged out.',
  async run(cell) {
    const { app, kind, open, act, ann, circle, conversation, talk } = cell;
    await using machine = await createDevice(app, ann, circle);
    await act('setDeviceAccess', { conversationId: conversation.id, allowed: true });
    using client = await open({ greeting: [['authenticate', { token: machine.token }]] });
    expect(await client.next()).toEqual(success('User authenticated'));
    expect(await client.ask('join_conversation', talk)).toEqual([
      success(`Vous avez rejoins la conversation : conversation_${talk.conversation_id}`),
    ]);
    expect(await client.ask('writing', { ...talk, is_writing: true })).toEqual([
      success('Writing sent'),
      ['writing', { ...talk, device: true, is_writing: true }],
    ]);
    const file = { filename: null, extension: null, identifier: 'a.png', uploaded: 'False' };
    expect(await client.ask('message', { ...talk, files: ['a.png'] })).toEqual([
      ['media', { media_list: [{ id: expect.any(Number), ...file }], message_id: expect.any(Number) }],
      success({ received: true, message_id: expect.any(Number) }),
      [
        'message',
        {
          ...talk,
          message: {
            id: expect.any(Number),
            device_id: machine.legacyId,
            sent: date,
            read: null,
            content: '',
            medias: 1,
          },
          status: 'pending',
        },
      ],
    ]);
    await machine.graphql.run('mutation { logout }');
    expect(await client.next()).toEqual(refusal('User not found'));
    expect(await client.disconnected()).toBe(kind.reasons.server);
    return undefined;
  },
};
