import { BufferBudget } from '../../src/lib/buffer-budget.ts';
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { nodeClock } from '../../src/services/wall-clock.ts';
import { readConfig } from '../../src/config.ts';
import { findReachability } from '../../src/db/leases.ts';
import { getWebRtcConfig, openSignals, sendSignal } from '../../src/domain/calls.ts';
import type { SignalTarget } from '../../src/domain/calls.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { accountTopic } from '../../src/events/event.ts';
import type { Ephemeral } from '../../src/events/event.ts';
import type { DeviceId, UserId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createDevice,
  createUser,
  createUsers,
  createSession,
} from '../harness/domain-fixtures.ts';
import { errorWithCode } from '../harness/matchers.ts';
import type { ActorRef } from '../../src/actor.ts';

const USER: ActorRef = { kind: 'user', id: 12 as UserId };
const DEVICE: ActorRef = { kind: 'device', id: 12 as DeviceId };

const hasSignals = async (deps: Deps, actor: ActorRef) => (await findReachability(deps.db, actor)).signals;

/** Records the signals published for an account. */
async function recordSignals(deps: Deps, actor: ActorRef) {
  const tail = await deps.tails.open(accountTopic(actor));
  const received: (Ephemeral & { type: 'signal' })[] = [];
  tail?.follow({
    onEphemeral: (ephemeral) => void (ephemeral.type === 'signal' && received.push(ephemeral)),
  });
  return received;
}

test('TURN credentials verify on a server with the same secret', () => {
  const config = readConfig({ TURN_SECRET: 'new secret,old secret', TURN_TTL: '3600' });
  for (const [actor, suffix] of [
    [USER, 'False'],
    [DEVICE, 'True'],
  ] as const) {
    const { username, password, expiresAt } = getWebRtcConfig(
      { config, clock: nodeClock },
      actor,
    ).credentials();
    expect(username).toMatch(new RegExp(`^\\d+:12${suffix}$`));
    const expiry = Number.parseInt(username, 10);
    expect(Math.abs(expiry - Date.now() / 1000 - 3600)).toBeLessThan(5);
    expect(expiresAt).toBe(new Date(expiry * 1000).toISOString());
    expect(password).toBe(createHmac('sha1', 'new secret').update(username).digest('base64'));
  }
});

test('without TURN_SECRET credentials have the same format, and are random', () => {
  const config = readConfig({});
  const [first, second] = [
    getWebRtcConfig({ config, clock: nodeClock }, USER).credentials(),
    getWebRtcConfig({ config, clock: nodeClock }, USER).credentials(),
  ];
  expect(first.password).toMatch(/^[A-Za-z0-9+/]{27}=$/);
  expect(first.password).not.toBe(second.password);
});

test('anonymous callers get the servers, but no credentials', () => {
  const settings = readConfig({ STUN_URLS: 'stun:a:1,stun:b', TURN_URLS: 'turn:c:2?transport=udp' });
  const config = getWebRtcConfig({ config: settings, clock: nodeClock }, null);
  expect(config).toMatchObject({ stunUrls: ['stun:a:1', 'stun:b'], turnUrls: ['turn:c:2?transport=udp'] });
  expect(() => config.credentials()).toThrow(errorWithCode('UNAUTHENTICATED'));
});

/** Creates two circles with their devices, of which Eve and `foreignDevice` are in the second. */
async function seedCircles() {
  const deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'Bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  const device = await createDevice(deps, circle, ann);
  const otherCircle = await createCircle(deps, eve);
  const foreignDevice = await createDevice(deps, otherCircle, eve);
  return {
    deps,
    ann,
    bob,
    eve,
    device,
    foreignDevice,
    [Symbol.asyncDispose]: () => deps[Symbol.asyncDispose](),
  };
}

test("a signal reaches the recipient's subscriptions unchanged, by e-mail, user or device", async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob, device } = fixture;
  const toBob = await openSignals(deps, createSession(bob.actor));
  const content = { message: { type: 'sdp', data: { sdp: 'v=0\r\n' } }, email: 'é', nothing: null };
  const targets: SignalTarget[] = [
    { email: 'BOB@example.com' },
    { userId: bob.user.id },
    { email: bob.email, deviceId: device.id },
  ];
  for (const to of targets) {
    await sendSignal(deps, ann.actor, { to, content });
    expect((await toBob.next()).value).toEqual({
      sender: { kind: 'user', user: ann.user, online: false },
      content,
    });
  }
  const toDevice = await openSignals(deps, createSession(device));
  await sendSignal(deps, bob.actor, { to: { deviceId: device.id }, content: 'CALLING' });
  expect((await toDevice.next()).value).toMatchObject({
    content: 'CALLING',
    sender: { user: { id: bob.user.id }, online: true },
  });
  await sendSignal(deps, device, { to: { userId: bob.user.id }, content: null });
  expect((await toBob.next()).value).toMatchObject({
    content: null,
    sender: { kind: 'device', device: { id: device.id } },
  });
  await Promise.all([toBob.return(), toDevice.return()]);
});

test('all subscriptions of an account receive a signal that names its newest legacy connection', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const streams = [
    await openSignals(deps, createSession(bob.actor)),
    await openSignals(deps, createSession(bob.actor)),
  ];
  const received = await recordSignals(deps, bob.actor);
  const [older, newest] = [
    await deps.presence.open('legacy', bob.actor),
    await deps.presence.open('legacy', bob.actor),
  ];
  const send = (content: string) => sendSignal(deps, ann.actor, { to: { email: bob.email }, content });
  await send('one');
  for (const stream of streams) expect((await stream.next()).value).toMatchObject({ content: 'one' });
  await newest.close();
  await send('two');
  await older.close();
  await send('three');
  for (const stream of streams) await stream.return();
  expect(received.map(({ legacyLease }) => legacyLease)).toEqual([newest.leaseId, older.leaseId, null]);
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
  await expect(send('four')).rejects.toThrow(errorWithCode('UNREACHABLE'));
});

test('an account without a legacy connection or a signals subscription is unreachable', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const send = () => sendSignal(deps, ann.actor, { to: { userId: bob.user.id }, content: 1 });
  await expect(send()).rejects.toThrow(errorWithCode('UNREACHABLE'));
  const lease = await deps.presence.open('graphql', bob.actor);
  await expect(send()).rejects.toThrow(errorWithCode('UNREACHABLE'));
  const stream = await openSignals(deps, createSession(bob.actor));
  await send();
  await stream.return();
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
  await expect(send()).rejects.toThrow(errorWithCode('UNREACHABLE'));
  await lease.close();
});

test('a user without a shared circle is NOT_FOUND, like one that does not exist', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, eve, device, foreignDevice } = fixture;
  const streams = [
    await openSignals(deps, createSession(eve.actor)),
    await openSignals(deps, createSession(foreignDevice)),
  ];
  const targets: SignalTarget[] = [
    { email: eve.email },
    { email: 'nobody@example.com' },
    { email: 'a\0b' },
    { email: '' },
    { userId: eve.user.id },
    { userId: 9999 as UserId },
    { deviceId: foreignDevice.id },
    { deviceId: 9999 as DeviceId },
    // The first of several fields decides.
    { email: 'nobody@example.com', userId: ann.user.id },
  ];
  for (const to of targets) {
    for (const from of [ann.actor, device]) {
      await expect(sendSignal(deps, from, { to, content: 1 })).rejects.toThrow(errorWithCode('NOT_FOUND'));
    }
  }
  await expect(sendSignal(deps, ann.actor, { to: {}, content: 1 })).rejects.toThrow(
    errorWithCode('INVALID_INPUT', { field: 'to' }),
  );
  await Promise.all(streams.map((stream) => stream.return()));
});

test('an account can signal itself', async () => {
  await using fixture = await seedCircles();
  const { deps, eve, foreignDevice } = fixture;
  const received = await recordSignals(deps, eve.actor);
  const lease = await deps.presence.open('legacy', eve.actor);
  await sendSignal(deps, eve.actor, { to: { email: eve.email }, content: 'me' });
  expect(received.map(({ content }) => content)).toEqual(['me']);
  const stream = await openSignals(deps, createSession(foreignDevice));
  await sendSignal(deps, foreignDevice, { to: { deviceId: foreignDevice.id }, content: 'hello again' });
  expect((await stream.next()).value).toMatchObject({ content: 'hello again' });
  await Promise.all([stream.return(), lease.close()]);
});

test('an account without a circle can signal itself', async () => {
  await using fixture = await seedCircles();
  const { deps } = fixture;
  const joe = await createUser(deps, 'joe');
  const stream = await openSignals(deps, createSession(joe.actor));
  await sendSignal(deps, joe.actor, { to: { userId: joe.user.id }, content: 'me' });
  expect((await stream.next()).value).toMatchObject({ content: 'me' });
  await stream.return();
});

test('content that is too large is rejected', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const stream = await openSignals(deps, createSession(bob.actor));
  const send = (content: string) => sendSignal(deps, ann.actor, { to: { email: bob.email }, content });
  await expect(send('é'.repeat(131_072))).rejects.toThrow(
    errorWithCode('LIMIT_EXCEEDED', { limit: 'signal' }),
  );
  for (const depth of [101, 100_000]) {
    const nested: unknown = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    await expect(sendSignal(deps, ann.actor, { to: { email: bob.email }, content: nested })).rejects.toThrow(
      errorWithCode('LIMIT_EXCEEDED', { limit: 'signal depth 100' }),
    );
  }
  await send('x'.repeat(262_142));
  expect((await stream.next()).value?.content).toHaveLength(262_142);
  await stream.return();
});

test('a slow signals subscription ends, and no longer makes its account reachable', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const stream = await openSignals(deps, createSession(bob.actor));
  for (let number = 0; number < 257; number += 1) {
    await sendSignal(deps, ann.actor, { to: { email: bob.email }, content: number });
  }
  await expect(stream.next()).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED', { reason: 'SLOW' }));
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
});

test('the signals buffered for all subscriptions of a connection are bounded in bytes, each counted once', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const budget = new BufferBudget();
  const streams = await Promise.all(
    Array.from({ length: 5 }, () => openSignals(deps, createSession(bob.actor), { budget })),
  );
  const content = 'x'.repeat(200_000);
  const sizes: number[] = [];
  for (let number = 0; number < 6; number += 1) {
    await sendSignal(deps, ann.actor, { to: { email: bob.email }, content });
    sizes.push(budget.reserved);
  }
  expect(sizes.slice(0, 4)).toEqual([400_000, 800_000, 1_200_000, 0]);
  for (const stream of streams)
    await expect(stream.next()).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED', { reason: 'SLOW' }));
  expect(budget.reserved).toBe(0);
});

test('a subscription that reads its signals receives any number of bytes', async () => {
  await using fixture = await seedCircles();
  const { deps, ann, bob } = fixture;
  const budget = new BufferBudget();
  const stream = await openSignals(deps, createSession(bob.actor), { budget });
  for (let number = 0; number < 10; number += 1) {
    await sendSignal(deps, ann.actor, { to: { email: bob.email }, content: 'x'.repeat(200_000) });
    expect((await stream.next()).done).toBe(false);
  }
  expect(budget.reserved).toBe(0);
  await stream.return();
});

test('the end of a session ends its signals subscription and releases its lease', async () => {
  await using fixture = await seedCircles();
  const { deps, bob } = fixture;
  const controller = new AbortController();
  const stream = await openSignals(deps, createSession(bob.actor), {
    signal: controller.signal,
  });
  expect(await hasSignals(deps, bob.actor)).toBe(true);
  controller.abort('TOKEN_EXPIRED');
  await expect(stream.next()).rejects.toThrow(errorWithCode('UNAUTHENTICATED', { reason: 'TOKEN_EXPIRED' }));
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
});
