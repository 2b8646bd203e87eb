import { expect } from 'vitest';
import { createDevice } from '../../../../src/testing/index.ts';
import { LIMITATIONS, error, success } from '../check.ts';
import type { Check } from '../check.ts';
import { anyDate } from './frames.ts';

export const chatScreenCheck: Check = {
  title: 'chat screen',
  description:
    'Events that an app sends in one tick on connect are replied to in order: login, rooms, five messages.',
  async run({ kind, transport, connect, bob, circle, conversationRef }) {
    // With `upgrade`, the frames may go over either transport.
    const text = kind.encodesTwice === true && transport !== 'polling' ? 'Hello' : 'Ça va, été ? 日本 😀';
    const numbers = [0, 1, 2, 3, 4];
    using client = await connect({
      framesOnConnect: [
        ['authenticate', { token: bob.token }],
        ['join_circle', { circle_id: 0 }],
        ['join_circle', { circle_id: circle.legacyId }],
        ['join_conversation', conversationRef],
        ...numbers.map((n) => ['message', { ...conversationRef, text_message: `${text} ${n}` }] as const),
      ],
    });
    const replies = [
      success('User authenticated'),
      error("Vous n'appartenez pas a ce cercle"),
      success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`),
      success(`Vous avez rejoins la conversation : conversation_${conversationRef.conversation_id}`),
    ];
    for (const frame of replies) expect(await client.next()).toEqual(frame);
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

export const callScreenCheck: Check = {
  title: 'call screen',
  description:
    'So are those of a call; and `QUITTING`, after which the app closes immediately, still reaches the other side.',
  async run({ kind, transport, connect, ann, bob, nextSignal }) {
    const signalOf = (message: string) => ['webrtc_forward', { user_id: ann.legacyId, message }] as const;
    const receivedSignal = (message: string) => ({
      sender_id: bob.legacyId,
      is_device: false,
      content: { user_id: ann.legacyId, message },
    });
    using client = await connect({
      framesOnConnect: [
        ['authenticate', { token: bob.token }],
        ['webrtc_credentials'],
        ['webrtc_stun_info'],
        signalOf('CALLING'),
      ],
    });
    expect(await client.next()).toEqual(success('User authenticated'));
    expect(await client.nextOn('webrtc_config')).toEqual({
      username: expect.any(String),
      password: expect.any(String),
    });
    expect(await client.nextOn('webrtc_config')).toEqual([{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }]);
    expect(await client.next()).toEqual(success('Message forwarded'));
    expect(await nextSignal()).toEqual(receivedSignal('CALLING'));
    const dropsOnClose = kind.dropsOnClose?.includes(transport) === true;
    if (dropsOnClose) await client.emitWithAck(...signalOf('QUITTING'));
    else client.emit(...signalOf('QUITTING'));
    client.close();
    expect(await nextSignal()).toEqual(receivedSignal('QUITTING'));
    return dropsOnClose ? LIMITATIONS.lossOnClose : undefined;
  },
};

export const deviceCheck: Check = {
  title: 'device',
  description: 'The same client as a device of the circle: writes, sends files, and is logged out.',
  async run(cell) {
    const { app, kind, connect, runMutation, ann, circle, conversation, conversationRef } = cell;
    await using device = await createDevice(app, ann, circle);
    await runMutation('setDeviceAccess', { conversationId: conversation.id, allowed: true });
    using client = await connect({ framesOnConnect: [['authenticate', { token: device.token }]] });
    expect(await client.next()).toEqual(success('User authenticated'));
    expect(await client.request('join_conversation', conversationRef)).toEqual([
      success(`Vous avez rejoins la conversation : conversation_${conversationRef.conversation_id}`),
    ]);
    expect(await client.request('writing', { ...conversationRef, is_writing: true })).toEqual([
      success('Writing sent'),
      ['writing', { ...conversationRef, device: true, is_writing: true }],
    ]);
    const file = { filename: null, extension: null, identifier: 'a.png', uploaded: 'False' };
    expect(await client.request('message', { ...conversationRef, files: ['a.png'] })).toEqual([
      ['media', { media_list: [{ id: expect.any(Number), ...file }], message_id: expect.any(Number) }],
      success({ received: true, message_id: expect.any(Number) }),
      [
        'message',
        {
          ...conversationRef,
          message: {
            id: expect.any(Number),
            device_id: device.legacyId,
            sent: anyDate,
            read: null,
            content: '',
            medias: 1,
          },
          status: 'pending',
        },
      ],
    ]);
    await device.graphql.run('mutation { logout }');
    expect(await client.next()).toEqual(error('User not found'));
    expect(await client.waitForDisconnect()).toBe(kind.disconnectReasons.server);
    return undefined;
  },
};
