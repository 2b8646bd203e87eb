import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

const PRESENCE =
  'subscription ($id: ID!) { presence(circleId: $id) { online actor { __typename ... on User { email } ... on Device { name } } } }';

test('an account is online from its first connection to its last, over either API', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle } = await createAnnAndBob(app);
  const watcher = await ann.connectLegacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  await using reader = ann.graphql.subscribe<{ online: boolean; actor: { email: string } }>(PRESENCE, {
    id: circle.id,
  });
  expect(await reader.next()).toMatchObject({ online: true, actor: { email: ann.login } });

  const phone = await bob.connectLegacy();
  expect(await reader.next()).toMatchObject({ online: true, actor: { email: bob.login } });
  expect(await watcher.expect('circle')).toEqual({
    event: 'connect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  await using stream = await bob.subscribeToInbox();
  phone.close();
  stream.unsubscribe();
  await bob.graphql[Symbol.asyncDispose]();
  expect(await reader.next()).toMatchObject({ online: false, actor: { email: bob.login } });
  expect(await watcher.expect('circle')).toEqual({
    event: 'disconnect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  expect(watcher.pending()).toEqual([]);
});

test('presence does not change while an app reconnects between screens', async () => {
  await using app = await startTestApp({ env: { PRESENCE_GRACE_MS: '3000' } });
  const { ann, bob, circle } = await createAnnAndBob(app);
  const watcher = await ann.connectLegacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  const first = await bob.connectLegacy();
  expect(await watcher.expect('circle')).toMatchObject({ event: 'connect' });
  for (let screen = 0; screen < 3; screen += 1) {
    first.close();
    const next = await bob.connectLegacy();
    next.close();
  }
  expect(await watcher.expect('circle')).toMatchObject({ event: 'disconnect' });
  expect(watcher.pending()).toEqual([]);
});

test('a device comes online and goes offline with its id', async () => {
  await using app = await startTestApp();
  const { ann, circle } = await createAnnAndBob(app);
  const device = await createDevice(app, ann, circle);
  const watcher = await ann.connectLegacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  const kitchen = await device.connectLegacy();
  const frame = { event: 'device', device_id: device.legacyId, circle_id: circle.legacyId };
  expect(await watcher.expect('circle')).toEqual({ ...frame, type: 'connect' });
  kitchen.close();
  expect(await watcher.expect('circle')).toEqual({ ...frame, type: 'disconnect' });
});
