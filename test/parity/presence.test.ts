import { expect, test } from 'vitest';
import { testApp } from '../harness/app.ts';
import { deviceOf } from '../../src/testing/index.ts';
import { family } from '../harness/demo-family.ts';

const PRESENCE =
  'subscription ($id: ID!) { presence(circleId: $id) { online actor { __typename ... on User { email } ... on Device { name } } } }';

test('an account is online from its first connection to its last, over either API', async () => {
  await using app = await testApp();
  const { ann, bob, circle } = await family(app);
  const watcher = await ann.legacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  await using reader = ann.graphql.subscribe<{ online: boolean; actor: { email: string } }>(PRESENCE, {
    id: circle.id,
  });
  expect(await reader.next()).toMatchObject({ online: true, actor: { email: ann.login } });

  const phone = await bob.legacy();
  expect(await reader.next()).toMatchObject({ online: true, actor: { email: bob.login } });
  expect(await watcher.expect('circle')).toEqual({
    event: 'connect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  await using stream = await bob.inboxEvents();
  phone.close();
  stream.unsubscribe();
  await bob.graphql[Symbol.asyncDispose]();
  expect(await reader.next()).toMatchObject({ online: false, actor: { email: bob.login } });
  expect(await watcher.expect('circle')).toEqual({
    event: 'disconnect',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  expect(watcher.waiting()).toEqual([]);
});

test('presence does not change while an app reconnects between screens', async () => {
  await using app = await testApp({ env: { PRESENCE_GRACE_MS: '3000' } });
  const { ann, bob, circle } = await family(app);
  const watcher = await ann.legacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  const first = await bob.legacy();
  expect(await watcher.expect('circle')).toMatchObject({ event: 'connect' });
  for (let screen = 0; screen < 3; screen += 1) {
    first.close();
    const next = await bob.legacy();
    next.close();
  }
  expect(await watcher.expect('circle')).toMatchObject({ event: 'disconnect' });
  expect(watcher.waiting()).toEqual([]);
});

test('a device comes online and goes offline with its id', async () => {
  await using app = await testApp();
  const { ann, circle } = await family(app);
  const device = await deviceOf(app, ann, circle);
  const watcher = await ann.legacy();
  await watcher.push('join_circle', { circle_id: circle.legacyId });
  const kitchen = await device.legacy();
  const frame = { event: 'device', device_id: device.legacyId, circle_id: circle.legacyId };
  expect(await watcher.expect('circle')).toEqual({ ...frame, type: 'connect' });
  kitchen.close();
  expect(await watcher.expect('circle')).toEqual({ ...frame, type: 'disconnect' });
});
