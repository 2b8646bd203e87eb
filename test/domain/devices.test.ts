import { expect, test } from 'vitest';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import * as devices from '../../src/domain/devices.ts';
import { accountTopic, circleTopic } from '../../src/events/event.ts';
import type { CircleId, DeviceId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  readEvents,
  readEventTypes,
  readOutcomes,
  createUser,
  createUsers,
  readToEnd,
  readErrorCode,
  createSession,
} from '../harness/domain-fixtures.ts';

const UNKNOWN_DEVICE = 999_999 as DeviceId;

test("an admin adds the circle's device, whose password is returned once and works", async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: circleId } = await createCircle(deps, ann, bob);
  const input = { circleId, name: 'Lamp' };
  expect(await readErrorCode(devices.addDevice(deps, bob.actor, input))).toBe('FORBIDDEN');
  expect(await readErrorCode(devices.addDevice(deps, ann.actor, { ...input, name: '' }))).toBe(
    'INVALID_INPUT',
  );
  const payload = await devices.addDevice(deps, ann.actor, input);
  expect(payload.device).toEqual({
    id: expect.any(Number),
    circleId,
    name: 'Lamp',
    username: payload.username,
    activated: true,
    createdAt: expect.any(String),
    updatedAt: expect.any(String),
  });
  expect((await readEvents(deps, circleTopic(circleId))).slice(1)).toEqual([
    { type: 'device.added', device: payload.device },
  ]);
  const login = await accounts.loginDevice(deps, payload);
  expect(login.device).toEqual(payload.device);
  const { passwordHash } = await deps.db
    .selectFrom('devices')
    .select('passwordHash')
    .executeTakeFirstOrThrow();
  expect(passwordHash).not.toContain(payload.password);
});

test('a circle has at most one device, also with concurrent requests', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const { id: circleId } = await createCircle(deps, ann);
  const add = () => devices.addDevice(deps, ann.actor, { circleId, name: 'Lamp' });
  expect((await readOutcomes([add(), add(), add()])).sort()).toEqual(['CONFLICT', 'CONFLICT', 'done']);
  expect(await readErrorCode(add())).toBe('CONFLICT');
  expect(await readEventTypes(deps, circleTopic(circleId))).toEqual(['device.added']);
  const [device] = [...(await devices.findDevicesByCircles(deps, [circleId])).values()];
  await devices.removeDevice(deps, ann.actor, { deviceId: device?.id ?? UNKNOWN_DEVICE });
  expect(await readErrorCode(add())).toBe('done');
});

test('a device can be renamed by an admin and by the device', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  const device = await createDevice(deps, circle, ann);
  const foreignDevice = await createDevice(deps, await createCircle(deps, eve), eve);
  const rename = (actor: typeof ann.actor | typeof device, name: string) =>
    devices.updateDevice(deps, actor, { deviceId: device.id, name });
  expect(await readErrorCode(rename(bob.actor, 'Mine'))).toBe('FORBIDDEN');
  expect(await readErrorCode(rename(eve.actor, 'Mine'))).toBe('NOT_FOUND');
  expect(await readErrorCode(rename(foreignDevice, 'Mine'))).toBe('NOT_FOUND');
  expect(await readErrorCode(rename(ann.actor, 'a\0b'))).toBe('INVALID_INPUT');
  const renamedByAdmin = await rename(ann.actor, 'Lamp');
  const renamedByItself = await rename(device, 'Bright lamp');
  expect([renamedByAdmin.name, renamedByItself.name]).toEqual(['Lamp', 'Bright lamp']);
  expect((await readEvents(deps, circleTopic(circle.id))).slice(2)).toEqual([
    { type: 'device.updated', device: renamedByAdmin },
    { type: 'device.updated', device: renamedByItself },
  ]);
});

test('removing a device ends its tokens, password and streams', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  const { device, ...login } = await devices.addDevice(deps, ann.actor, {
    circleId: circle.id,
    name: 'Lamp',
  });
  const { token } = await accounts.loginDevice(deps, login);
  const session = await accounts.authenticate(deps, token);
  const fromNow = { circleId: circle.id, after: null };
  const result = readToEnd(await circles.openCircleEvents(deps, session, fromNow));
  const input = { deviceId: device.id };
  expect(await readErrorCode(devices.removeDevice(deps, bob.actor, input))).toBe('FORBIDDEN');
  expect(await readErrorCode(devices.removeDevice(deps, session.actor, input))).toBe('FORBIDDEN');

  expect(await devices.removeDevice(deps, ann.actor, input)).toEqual(device);

  expect(await result).toEqual({
    events: [{ type: 'device.removed', device, online: false }],
    error: expect.objectContaining({ code: 'UNAUTHENTICATED', details: { reason: 'ACCOUNT_DELETED' } }),
  });
  expect(await readEvents(deps, accountTopic(session.actor))).toEqual([
    { type: 'account.deleted', account: session.actor },
  ]);
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.loginDevice(deps, login))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(devices.removeDevice(deps, ann.actor, input))).toBe('NOT_FOUND');
});

test('the event of a removed device has its online state', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const device = await createDevice(deps, circle, ann);
  const lease = await deps.presence.open('graphql', device);
  await devices.removeDevice(deps, ann.actor, { deviceId: device.id });
  await lease.close();
  expect((await readEvents(deps, circleTopic(circle.id))).at(-1)).toMatchObject({
    type: 'device.removed',
    online: true,
  });
});

test('a device removed while its access changes is removed completely', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  for (let round = 0; round < 4; round += 1) {
    const circle = await createCircle(deps, ann, bob);
    const device = await createDevice(deps, circle, ann);
    const { id } = await createConversation(deps, circle, ann, bob);
    const input = { conversationId: id };
    await conversations.setDeviceAccess(deps, ann.actor, { ...input, allowed: true });
    const [removal, accessChange, rename] = await readOutcomes([
      devices.removeDevice(deps, ann.actor, { deviceId: device.id }),
      conversations.setDeviceAccess(deps, device, { ...input, allowed: false }),
      devices.updateDevice(deps, device, { deviceId: device.id, name: 'Lamp' }),
    ]);
    expect(removal).toBe('done');
    expect(['done', 'NOT_FOUND']).toContain(accessChange);
    expect(['done', 'NOT_FOUND']).toContain(rename);
    expect((await readEventTypes(deps, circleTopic(circle.id))).at(-1)).toBe('device.removed');
  }
});

test('a device is visible in its circle only', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  const { id } = await createDevice(deps, circle, ann);
  const device = await devices.requireDevice(deps, bob.actor, id);
  expect(device).not.toHaveProperty('passwordHash');
  expect(await devices.requireDevice(deps, { kind: 'device', id }, id)).toEqual(device);
  expect(await readErrorCode(devices.requireDevice(deps, eve.actor, id))).toBe('NOT_FOUND');
  expect(await readErrorCode(devices.requireDevice(deps, ann.actor, UNKNOWN_DEVICE))).toBe('NOT_FOUND');
  expect(await devices.findDevicesById(deps, [UNKNOWN_DEVICE, id])).toEqual(new Map([[id, device]]));
  expect(await devices.findDevicesByCircles(deps, [77 as CircleId, circle.id])).toEqual(
    new Map([[circle.id, device]]),
  );
});

test('an inactive device can neither log in nor authenticate', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const { device, ...login } = await devices.addDevice(deps, ann.actor, {
    circleId: circle.id,
    name: 'Lamp',
  });
  const { token } = await accounts.loginDevice(deps, login);
  expect((await accounts.authenticate(deps, token)).actor).toEqual({ kind: 'device', id: device.id });
  await deps.db.updateTable('devices').set({ activated: false }).execute();
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.loginDevice(deps, login))).toBe('UNAUTHENTICATED');
});

test('a wrong name or password of a device is rejected', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const { username, password } = await devices.addDevice(deps, ann.actor, {
    circleId: circle.id,
    name: 'Lamp',
  });
  const wrongCredentials = [
    { username, password: 'wrong' },
    { username, password: '' },
    { username: 'device-x', password },
    { username: `${username}\0`, password },
    { username: '', password: '' },
  ];
  expect(
    new Set(await readOutcomes(wrongCredentials.map((input) => accounts.loginDevice(deps, input)))),
  ).toEqual(new Set(['UNAUTHENTICATED']));
  expect(await readErrorCode(circles.requireCircle(deps, createSession(ann.actor).actor, circle.id))).toBe(
    'done',
  );
});
