import { expect, test } from 'vitest';
import * as sessions from '../../src/db/sessions.ts';
import type { DeviceId, UserId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createDevice, createUser } from '../harness/domain-fixtures.ts';
import type { ActorRef } from '../../src/actor.ts';

const inOneHour = () => new Date(Date.now() + 3_600_000).toISOString();

const createTokenCheck = (actor: ActorRef, tokenId = 'x') => ({ actor, tokenId, issuedAt: null });

test('a token is active while its account exists and it is not revoked', async () => {
  await using deps = await createTestDeps();
  const { db } = deps;
  const ann = await createUser(deps, 'ann');
  const device = await createDevice(deps, await createCircle(deps, ann), ann);
  for (const account of [ann.actor, device]) {
    const tokenId = `of ${account.kind}`;
    expect(await sessions.isActive(db, createTokenCheck(account, tokenId))).toBe(true);
    expect(await db.transaction().execute((tx) => sessions.revoke(tx, tokenId, inOneHour()))).toBe(true);
    expect(await db.transaction().execute((tx) => sessions.revoke(tx, tokenId, inOneHour()))).toBe(false);
    expect(await sessions.isActive(db, createTokenCheck(account, tokenId))).toBe(false);
    expect(await sessions.isActive(db, createTokenCheck(account, 'another'))).toBe(true);
    expect(await sessions.isRevoked(db, tokenId)).toBe(true);
    expect(await sessions.isRevoked(db, 'another')).toBe(false);
  }
  expect(await sessions.isActive(db, createTokenCheck({ kind: 'user', id: 99 as UserId }))).toBe(false);
  expect(await sessions.isActive(db, createTokenCheck({ kind: 'device', id: 99 as DeviceId }))).toBe(false);
  await db.updateTable('devices').set({ activated: false }).execute();
  expect(await sessions.isActive(db, createTokenCheck(device))).toBe(false);
});

test('revocations are deleted once their tokens have expired by every clock, not before', async () => {
  await using deps = await createTestDeps();
  const { db } = deps;
  await db.transaction().execute(async (tx) => {
    await sessions.revoke(tx, 'old', new Date(Date.now() - 60_000).toISOString());
    // A node whose clock is behind may still accept it.
    await sessions.revoke(tx, 'expiring', new Date(Date.now() - 1_000).toISOString());
    await sessions.revoke(tx, 'new', inOneHour());
  });
  expect(await sessions.deleteExpiredRevocations(db)).toBe(1);
  expect(await sessions.isRevoked(db, 'old')).toBe(false);
  expect(await sessions.isRevoked(db, 'expiring')).toBe(true);
  expect(await sessions.isRevoked(db, 'new')).toBe(true);
});
