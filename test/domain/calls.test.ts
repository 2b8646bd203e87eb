import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { findReachability } from '../../src/db/leases.ts';
import { getWebRtcConfig, openSignals, sendSignal } from '../../src/domain/calls.ts';
import type { SignalTarget } from '../../src/domain/calls.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { accountTopic } from '../../src/events/event.ts';
import type { Ephemeral } from '../../src/events/event.ts';
import type { DeviceId, UserId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createDevice, createUser, createSession } from '../harness/domain-fixtures.ts';
import type { ActorRef } from '../../src/actor.ts';

const code = (value: string, details: object = {}) =>
  expect.objectContaining({ code: value, details: expect.objectContaining(details) as object });

const USER: ActorRef = { kind: 'user', id: 12 as UserId };
const DEVICE: ActorRef = { kind: 'device', id: 12 as DeviceId };

const hasSignals = async (deps: Deps, actor: ActorRef) => (await findReachability(deps.db, actor)).signals;

/** Collects the signals published for an account. */
async function follow(deps: Deps, account: ActorRef) {
  const tail = await deps.tails.open(accountTopic(account));
  const received: (Ephemeral & { type: 'signal' })[] = [];
  tail?.follow({ ephemeral: (ephemeral) => void (ephemeral.type === 'signal' && received.push(ephemeral)) });
  return received;
}

test('TURN credentials verify on a server with the same secret', () => {
  const config = readConfig({ TURN_SECRET: 'new secret,old secret', TURN_TTL: '3600' });
  for (const [actor, suffix] of [
    [USER, 'False'],
    [DEVICE, 'True'],
  ] as const) {
    const { username, password, expiresAt } = getWebRtcConfig({ config }, actor).credentials();
    expect(username).toMatch(new RegExp(`^\\d+:12${suffix}$`));
    const expiry = Number.parseInt(username, 10);
    expect(Math.abs(expiry - Date.now() / 1000 - 3600)).toBeLessThan(5);
    expect(expiresAt).toBe(new Date(expiry * 1000).toISOString());
    expect(password).toBe(createHmac('sha1', 'new secret').update(username).digest('base64'));
  }
});

test('without TURN_SECRET credentials have the same format, and are random', () => {
  const config = readConfig({});
  const [one, two] = [
    getWebRtcConfig({ config }, USER).credentials(),
    getWebRtcConfig({ config }, USER).credentials(),
  ];
  expect(one.password).toMatch(/^[A-Za-z0-9+/]{27}=$/);
  expect(one.password).not.toBe(two.password);
});

test('anonymous callers get the servers, but no credentials', () => {
  const config = readConfig({ STUN_URLS: 'stun:a:1,stun:b', TURN_URLS: 'turn:c:2?transport=udp' });
  const anonymous = getWebRtcConfig({ config }, null);
  expect(anonymous).toMatchObject({ stunUrls: ['stun:a:1', 'stun:b'], turnUrls: ['turn:c:2?transport=udp'] });
  expect(() => anonymous.credentials()).toThrow(code('UNAUTHENTICATED'));
});

async function family() {
  const deps = await createTestDeps();
  const [ann, bob, eve] = [
    await createUser(deps, 'ann'),
    await createUser(deps, 'Bob'),
    await createUser(deps, 'eve'),
  ];
  const circle = await createCircle(deps, ann, bob);
  const device = await createDevice(deps, circle, ann);
  const other = await createCircle(deps, eve);
  const stranger = await createDevice(deps, other, eve);
  return { deps, ann, bob, eve, device, stranger, [Symbol.asyncDispose]: () => deps[Symbol.asyncDispose]() };
}

test("a signal reaches the recipient's subscriptions unchanged, by e-mail, user or device", async () => {
  await using f = await family();
  const { deps, ann, bob, device } = f;
  const toBob = await openSignals(deps, createSession(bob.actor));
  const content = { message: { type: 'sdp', data: { sdp: 'v=0\r\n' } }, email: 'é', nothing: null };
  const names: SignalTarget[] = [
    { email: 'BOB@example.com' },
    { userId: bob.user.id },
    { email: bob.email, deviceId: device.id },
  ];
  for (const to of names) {
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

test('all subscriptions of an account receive a signal, which names its newest legacy connection', async () => {
  await using f = await family();
  const { deps, ann, bob } = f;
  const streams = [
    await openSignals(deps, createSession(bob.actor)),
    await openSignals(deps, createSession(bob.actor)),
  ];
  const received = await follow(deps, bob.actor);
  const [old, newest] = [
    await deps.presence.open('legacy', bob.actor),
    await deps.presence.open('legacy', bob.actor),
  ];
  const send = (content: string) => sendSignal(deps, ann.actor, { to: { email: bob.email }, content });
  await send('one');
  for (const stream of streams) expect((await stream.next()).value).toMatchObject({ content: 'one' });
  await newest.close();
  await send('two');
  await old.close();
  await send('three');
  for (const stream of streams) await stream.return();
  expect(received.map(({ legacyLease }) => legacyLease)).toEqual([newest.leaseId, old.leaseId, null]);
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
  await expect(send('four')).rejects.toThrow(code('UNREACHABLE'));
});

test('an account without a legacy connection or a signals subscription is unreachable', async () => {
  await using f = await family();
  const { deps, ann, bob } = f;
  const send = () => sendSignal(deps, ann.actor, { to: { userId: bob.user.id }, content: 1 });
  await expect(send()).rejects.toThrow(code('UNREACHABLE'));
  const lease = await deps.presence.open('graphql', bob.actor);
  await expect(send()).rejects.toThrow(code('UNREACHABLE'));
  const stream = await openSignals(deps, createSession(bob.actor));
  await send();
  await stream.return();
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
  await expect(send()).rejects.toThrow(code('UNREACHABLE'));
  await lease.close();
});

test('a user without a shared circle is NOT_FOUND, like one that does not exist', async () => {
  await using f = await family();
  const { deps, ann, eve, device, stranger } = f;
  const streams = [
    await openSignals(deps, createSession(eve.actor)),
    await openSignals(deps, createSession(stranger)),
  ];
  const targets: SignalTarget[] = [
    { email: eve.email },
    { email: 'nobody@example.com' },
    { email: 'a\0b' },
    { email: '' },
    { userId: eve.user.id },
    { userId: 9999 as UserId },
    { deviceId: stranger.id },
    { deviceId: 9999 as DeviceId },
    // The first that is given decides.
    { email: 'nobody@example.com', userId: ann.user.id },
  ];
  for (const to of targets) {
    for (const from of [ann.actor, device]) {
      await expect(sendSignal(deps, from, { to, content: 1 })).rejects.toThrow(code('NOT_FOUND'));
    }
  }
  await expect(sendSignal(deps, ann.actor, { to: {}, content: 1 })).rejects.toThrow(
    code('INVALID_INPUT', { field: 'to' }),
  );
  await Promise.all(streams.map((stream) => stream.return()));
});

test('an account can signal itself', async () => {
  await using f = await family();
  const { deps, eve, stranger } = f;
  const received = await follow(deps, eve.actor);
  const lease = await deps.presence.open('legacy', eve.actor);
  await sendSignal(deps, eve.actor, { to: { email: eve.email }, content: 'me' });
  expect(received.map(({ content }) => content)).toEqual(['me']);
  const stream = await openSignals(deps, createSession(stranger));
  await sendSignal(deps, stranger, { to: { deviceId: stranger.id }, content: 'me too' });
  expect((await stream.next()).value).toMatchObject({ content: 'me too' });
  await Promise.all([stream.return(), lease.close()]);
});

test('an account without a circle can signal itself', async () => {
  await using f = await family();
  const { deps } = f;
  const loner = await createUser(deps, 'loner');
  const stream = await openSignals(deps, createSession(loner.actor));
  await sendSignal(deps, loner.actor, { to: { userId: loner.user.id }, content: 'me' });
  expect((await stream.next()).value).toMatchObject({ content: 'me' });
  await stream.return();
});

test('content that is too large is refused', async () => {
  await using f = await family();
  const { deps, ann, bob } = f;
  const stream = await openSignals(deps, createSession(bob.actor));
  const send = (content: string) => sendSignal(deps, ann.actor, { to: { email: bob.email }, content });
  await expect(send('é'.repeat(131_072))).rejects.toThrow(code('LIMIT_EXCEEDED', { limit: 'signal' }));
  for (const depth of [101, 100_000]) {
    const deep: unknown = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    await expect(sendSignal(deps, ann.actor, { to: { email: bob.email }, content: deep })).rejects.toThrow(
      code('LIMIT_EXCEEDED', { limit: 'signal depth 100' }),
    );
  }
  await send('x'.repeat(262_142));
  expect((await stream.next()).value?.content).toHaveLength(262_142);
  await stream.return();
});

test('a slow signals subscription ends, and no longer makes its account reachable', async () => {
  await using f = await family();
  const { deps, ann, bob } = f;
  const stream = await openSignals(deps, createSession(bob.actor));
  for (let number = 0; number < 257; number += 1) {
    await sendSignal(deps, ann.actor, { to: { email: bob.email }, content: number });
  }
  await expect(stream.next()).rejects.toThrow(code('LIMIT_EXCEEDED', { reason: 'SLOW' }));
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
});

test('the end of a session ends its signals subscription and releases its lease', async () => {
  await using f = await family();
  const { deps, bob } = f;
  const controller = new AbortController();
  const stream = await openSignals(deps, createSession(bob.actor), controller.signal);
  expect(await hasSignals(deps, bob.actor)).toBe(true);
  controller.abort('TOKEN_EXPIRED');
  await expect(stream.next()).rejects.toThrow(code('UNAUTHENTICATED', { reason: 'TOKEN_EXPIRED' }));
  await expect.poll(() => hasSignals(deps, bob.actor)).toBe(false);
});
