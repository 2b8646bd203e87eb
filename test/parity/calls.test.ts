import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

const SIGNALS =
  'subscription { signals { content sender { __typename ... on User { email } ... on Device { name } } } }';
const SEND_SIGNAL =
  'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';

test('a forwarded payload reaches the newest legacy connection on both channels, and every signals subscription', async () => {
  await using app = await startTestApp();
  const { ann, bob } = await createAnnAndBob(app);
  const olderClient = await bob.connectLegacy();
  const newerClient = await bob.connectLegacy();
  await using signals = bob.graphql.subscribe(SIGNALS);
  const callerClient = await ann.connectLegacy();
  await bob.graphql.run('{ webrtc { stunServers { urls } } }');

  const payload = { email: bob.login, message: 'CALLING' };
  expect(await callerClient.push('webrtc_forward', payload)).toBe('Message forwarded');
  const frame = { sender_id: ann.legacyId, is_device: false, content: payload };
  expect(await newerClient.expect('webrtc_forward')).toEqual(frame);
  expect(await newerClient.expect('webrtc_config')).toEqual(frame);
  expect(await signals.next()).toEqual({
    content: payload,
    sender: { __typename: 'User', email: ann.login },
  });
  expect(olderClient.pending()).toEqual([]);
});

test('a signal from GraphQL reaches a legacy connection unchanged', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle } = await createAnnAndBob(app);
  const legacyClient = await bob.connectLegacy();
  const content = { message: { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } } };
  for (const to of [{ email: bob.login }, { userId: bob.id }]) {
    await ann.graphql.run(SEND_SIGNAL, { to, content });
    expect(await legacyClient.expect('webrtc_forward')).toEqual({
      sender_id: ann.legacyId,
      is_device: false,
      content,
    });
  }
  const device = await createDevice(app, ann, circle);
  const deviceClient = await device.connectLegacy();
  await bob.graphql.run(SEND_SIGNAL, { to: { deviceId: device.id }, content });
  expect(await deviceClient.expect('webrtc_forward')).toEqual({
    sender_id: bob.legacyId,
    is_device: false,
    content,
  });
  await deviceClient.push('webrtc_forward', { user_id: bob.legacyId, message: 'READY' });
  expect(await legacyClient.expect('webrtc_forward')).toMatchObject({
    sender_id: device.legacyId,
    is_device: true,
  });
});

test('an account without a connection is unreachable, and one without a shared circle is unknown', async () => {
  await using app = await startTestApp();
  const { ann, bob } = await createAnnAndBob(app);
  const stranger = await app.createAccount();
  await stranger.connectLegacy();
  expect(await ann.graphql.expectError(SEND_SIGNAL, { to: { email: bob.login }, content: {} })).toBe(
    'UNREACHABLE',
  );
  expect(await ann.graphql.expectError(SEND_SIGNAL, { to: { email: stranger.login }, content: {} })).toBe(
    'NOT_FOUND',
  );
  const callerClient = await ann.connectLegacy();
  expect(await callerClient.expectError('webrtc_forward', { user_id: bob.legacyId })).toBe(
    'Destinataire non connecte aux websockets',
  );
  expect(await callerClient.expectError('webrtc_forward', { user_id: stranger.legacyId })).toBe(
    'Utilisateur introuvable',
  );
  expect(await callerClient.expectError('webrtc_forward', { email: 'nobody', user_id: bob.legacyId })).toBe(
    'Utilisateur introuvable',
  );
  expect(await callerClient.expectError('webrtc_forward', {})).toBe('Utilisateur introuvable');
});

test('both APIs return the same servers, and valid credentials', async () => {
  await using app = await startTestApp({
    env: {
      STUN_URLS: 'stun:stun.test:3478',
      TURN_URLS: 'turn:turn.test:3479',
      TURN_SECRET: 'a-turn-secret',
      TURN_TTL: '600',
    },
  });
  const { ann } = await createAnnAndBob(app);
  const anonymous = await app.connectLegacy();
  anonymous.emit('webrtc_stun_info');
  expect(await anonymous.expect('webrtc_config')).toEqual([{ domain: 'stun.test', ip: '', port: 3478 }]);
  anonymous.emit('webrtc_turn_info');
  expect(await anonymous.expect('webrtc_config')).toEqual([{ domain: 'turn.test', ip: '', port: 3479 }]);
  expect(await anonymous.expectError('webrtc_credentials')).toBe('Socket user introuvable');

  const legacyClient = await ann.connectLegacy();
  legacyClient.emit('webrtc_credentials');
  const credentials = await legacyClient.expect<{ username: string; password: string }>('webrtc_config');
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
