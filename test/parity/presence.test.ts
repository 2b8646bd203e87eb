import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

const PRESENCE =
  'subscription ($id: ID!) { presence(circleId: $id) { online actor { __typename ... on User { email } ... on Device { name } } } }';

test('an account is online from its first connection to its last, over either API', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle } = await createAnnAndBob(app);
  const observer = await ann.connectLegacy();
  await observer.push('join_circle', { circle_id: circle.legacyId });
  await using presence = ann.graphql.subscribe<{ online: boolean; actor: { email: string } }>(PRESENCE, {
    id: circle.id,
  });
  expect(await presence.next()).toMatchObject({ online: true, actor: { email: ann.login } });

  const legacyClient = await bob.connectLegacy();
  expect(await presence.next()).toMatchObject({ online: true, actor: { email: bob.login } });
  expect(await observer.expect('circle')).toEqual({
    event: 'connect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  await using inbox = await bob.subscribeToInbox();
  legacyClient.close();
  inbox.unsubscribe();
  await bob.graphql[Symbol.asyncDispose]();
  expect(await presence.next()).toMatchObject({ online: false, actor: { email: bob.login } });
  expect(await observer.expect('circle')).toEqual({
    event: 'disconnect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  expect(observer.pending()).toEqual([]);
});

test('presence does not change while an app reconnects between screens', async () => {
  await using app = await startTestApp({ env: { PRESENCE_GRACE_MS: '3000' } });
  const { ann, bob, circle } = await createAnnAndBob(app);
  const observer = await ann.connectLegacy();
  await observer.push('join_circle', { circle_id: circle.legacyId });
  const first = await bob.connectLegacy();
  expect(await observer.expect('circle')).toMatchObject({ event: 'connect' });
  for (let screen = 0; screen < 3; screen += 1) {
    first.close();
    const next = await bob.connectLegacy();
    next.close();
  }
  expect(await observer.expect('circle')).toMatchObject({ event: 'disconnect' });
  expect(observer.pending()).toEqual([]);
});

test('a device comes online and goes offline with its id', async () => {
  await using app = await startTestApp();
  const { ann, circle } = await createAnnAndBob(app);
  const device = await createDevice(app, ann, circle);
  const observer = await ann.connectLegacy();
  await observer.push('join_circle', { circle_id: circle.legacyId });
  const deviceClient = await device.connectLegacy();
  const frame = { event: 'device', device_id: device.legacyId, circle_id: circle.legacyId };
  expect(await observer.expect('circle')).toEqual({ ...frame, type: 'connect' });
  deviceClient.close();
  expect(await observer.expect('circle')).toEqual({ ...frame, type: 'disconnect' });
});
