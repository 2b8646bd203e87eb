import { expect, test } from 'vitest';
import { testApp } from '../harness/app.ts';
import { deviceOf } from '../../src/testing/index.ts';
import { family } from '../harness/demo-family.ts';

const SIGNALS =
  'subscription { signals { content sender { __typename ... on User { email } ... on Device { name } } } }';
const SEND = 'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';

test('a forwarded payload reaches the newest legacy connection on both channels, and every signals subscription', async () => {
  await using app = await testApp();
  const { ann, bob } = await family(app);
  const older = await bob.legacy();
  const newer = await bob.legacy();
  await using reader = bob.graphql.subscribe(SIGNALS);
  const caller = await ann.legacy();
  await bob.graphql.run('{ webrtc { stunServers { urls } } }');

  const payload = { email: bob.login, message: 'CALLING' };
  expect(await caller.push('webrtc_forward', payload)).toBe('Message forwarded');
  const frame = { sender_id: ann.legacyId, is_device: false, content: payload };
  expect(await newer.expect('webrtc_forward')).toEqual(frame);
  expect(await newer.expect('webrtc_config')).toEqual(frame);
  expect(await reader.next()).toEqual({ content: payload, sender: { __typename: 'User', email: ann.login } });
  expect(older.waiting()).toEqual([]);
});

test('a signal from GraphQL reaches a legacy connection unchanged', async () => {
  await using app = await testApp();
  const { ann, bob, circle } = await family(app);
  const phone = await bob.legacy();
  const content = { message: { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } } };
  for (const to of [{ email: bob.login }, { userId: bob.id }]) {
    await ann.graphql.run(SEND, { to, content });
    expect(await phone.expect('webrtc_forward')).toEqual({
      sender_id: ann.legacyId,
      is_device: false,
      content,
    });
  }
  const device = await deviceOf(app, ann, circle);
  const kitchen = await device.legacy();
  await bob.graphql.run(SEND, { to: { deviceId: device.id }, content });
  expect(await kitchen.expect('webrtc_forward')).toEqual({
    sender_id: bob.legacyId,
    is_device: false,
    content,
  });
  await kitchen.push('webrtc_forward', { user_id: bob.legacyId, message: 'READY' });
  expect(await phone.expect('webrtc_forward')).toMatchObject({ sender_id: device.legacyId, is_device: true });
});

test('an account without a connection is unreachable, and one without a shared circle is unknown', async () => {
  await using app = await testApp();
  const { ann, bob } = await family(app);
  const stranger = await app.account();
  await stranger.legacy();
  expect(await ann.graphql.refused(SEND, { to: { email: bob.login }, content: {} })).toBe('UNREACHABLE');
  expect(await ann.graphql.refused(SEND, { to: { email: stranger.login }, content: {} })).toBe('NOT_FOUND');
  const caller = await ann.legacy();
  expect(await caller.refused('webrtc_forward', { user_id: bob.legacyId })).toBe(
    'Destinataire non connecte aux websockets',
  );
  expect(await caller.refused('webrtc_forward', { user_id: stranger.legacyId })).toBe(
    'Utilisateur introuvable',
  );
  expect(await caller.refused('webrtc_forward', { email: 'nobody', user_id: bob.legacyId })).toBe(
    'Utilisateur introuvable',
  );
  expect(await caller.refused('webrtc_forward', {})).toBe('Utilisateur introuvable');
});

test('both APIs return the same servers, and valid credentials', async () => {
  await using app = await testApp({
    env: {
      STUN_URLS: 'stun:stun.test:3478',
      TURN_URLS: 'turn:turn.test:3479',
      TURN_SECRET: 'a-turn-secret',
      TURN_TTL: '600',
    },
  });
  const { ann } = await family(app);
  const anonymous = await app.legacy();
  anonymous.emit('webrtc_stun_info');
  expect(await anonymous.expect('webrtc_config')).toEqual([{ domain: 'stun.test', ip: '', port: 3478 }]);
  anonymous.emit('webrtc_turn_info');
  expect(await anonymous.expect('webrtc_config')).toEqual([{ domain: 'turn.test', ip: '', port: 3479 }]);
  expect(await anonymous.refused('webrtc_credentials')).toBe('Socket user introuvable');

  const phone = await ann.legacy();
  phone.emit('webrtc_credentials');
  const credentials = await phone.expect<{ username: string; password: string }>('webrtc_config');
  expect(credentials.username).toMatch(new RegExp(`^\\d+:${ann.legacyId}False$`));
  const { createHmac } = await import('node:crypto');
  expect(credentials.password).toBe(
    createHmac('sha1', 'a-turn-secret').update(credentials.username).digest('base64'),
  );

  const { webrtc } = await ann.graphql.run<{
    webrtc: { iceServers: { urls: string[]; username: string | null }[] };
  }>('{ webrtc { iceServers { urls username credential } } }');
  expect(webrtc.iceServers).toMatchObject([
    { urls: ['stun:stun.test:3478'], username: null, credential: null },
    { urls: ['turn:turn.test:3479'], username: expect.stringMatching(/^\d+:\d+False$/) },
  ]);
});
