import { randomBytes } from 'node:crypto';
import * as circles from '../db/circles.ts';
import * as conversations from '../db/conversations.ts';
import { findAccessibleConversations } from '../db/conversation-access.ts';
import type { Db, Tx } from '../db/database.ts';
import * as devices from '../db/devices.ts';
import { deleteKeysOf } from '../db/idempotency-keys.ts';
import { forgetClients } from '../db/login-attempts.ts';
import type { Device } from '../db/tables.ts';
import { conflict, notFound } from '../errors.ts';
import { accountTopic, circleTopic, conversationTopic } from '../events/event.ts';
import { eraseAccount, lockErasure } from '../events/erasure.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, DeviceId } from '../ids.ts';
import { requireCircleAdmin } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { indexById } from '../lib/group-rows.ts';
import { parseName } from '../lib/text.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey, sameActor } from '../actor.ts';

interface DeviceInput {
  readonly deviceId: DeviceId;
}

/** Adds the circle's device; its password is returned only here. Throws NOT_FOUND, FORBIDDEN, CONFLICT. */
export async function addDevice(
  deps: Deps,
  actor: ActorRef,
  input: { readonly circleId: CircleId; readonly name: string },
): Promise<{ device: Device; username: string; password: string }> {
  const { circleId } = input;
  const name = parseName('name', input.name);
  // Checked before the transaction too: password hashing is expensive, and only for admins.
  await requireCircleAdmin(deps.db, actor, circleId);
  const username = `device-${randomBytes(6).toString('hex')}`;
  const password = randomBytes(18).toString('base64url');
  const passwordHash = await deps.passwords.hash(password, { lane: 'known', key: actorKey(actor) });
  const device = await transact(deps, async (unit) => {
    await unit.lock(circleTopic(circleId));
    await requireCircleAdmin(unit.tx, actor, circleId);
    const added = await devices.insert(unit.tx, { circleId, name, username, passwordHash });
    if (added === undefined) throw conflict('The circle already has a device.');
    await unit.create(accountTopic(deviceRef(added)));
    unit.emit({ type: 'device.added', device: added });
    return added;
  });
  deps.securityLog.record('device added', {
    account: deviceRef(device),
    by: actor,
    topic: circleTopic(circleId),
  });
  return { device, username, password };
}

/** Renames a device. Throws NOT_FOUND, FORBIDDEN unless an ADMIN of its circle or the device itself. */
export async function updateDevice(
  deps: Deps,
  actor: ActorRef,
  input: DeviceInput & { readonly name: string },
): Promise<Device> {
  const name = parseName('name', input.name);
  return transact(deps, async (unit) => {
    const found = await lockCircleOf(unit, actor, input.deviceId);
    if (!sameActor(actor, deviceRef(found))) await requireCircleAdmin(unit.tx, actor, found.circleId);
    const device = await devices.rename(unit.tx, found.id, name);
    unit.emit({ type: 'device.updated', device });
    return device;
  });
}

/** Removes a device with its access; returns it as it was. Throws NOT_FOUND, FORBIDDEN unless an ADMIN. */
export async function removeDevice(deps: Deps, actor: ActorRef, input: DeviceInput): Promise<Device> {
  const removed = await transact(deps, async (unit) => {
    const device = await lockCircleOf(unit, actor, input.deviceId);
    await requireCircleAdmin(unit.tx, actor, device.circleId);
    const account = deviceRef(device);
    // Waits for the device's writes in flight in its conversations.
    const conversationsWithAccess = await findAccessibleConversations(unit.tx, account, [device.circleId]);
    await unit.lock(...conversationsWithAccess.map(({ id }) => conversationTopic(id)), accountTopic(account));
    await lockErasure(unit.tx);
    const online = (await deps.presence.isOnline([account], unit.tx)).has(actorKey(account));
    // Access was granted to this device, not to the next one of the circle.
    for (const { id } of conversationsWithAccess) {
      const conversation = await conversations.setDeviceAccess(unit.tx, id, false);
      unit.emit({ type: 'device-access.changed', conversation, allowed: false, removed: true });
    }
    await eraseAccount(unit.tx, account);
    await deleteKeysOf(unit.tx, actorKey(account));
    await devices.remove(unit.tx, device.id);
    unit.emit({ type: 'device.removed', device, online });
    unit.emit({ type: 'account.deleted', account });
    await forgetClients(unit.tx, actorKey(account));
    return device;
  });
  deps.securityLog.record('device removed', {
    account: deviceRef(removed),
    by: actor,
    topic: circleTopic(removed.circleId),
  });
  return removed;
}

async function lockCircleOf(unit: UnitOfWork, actor: ActorRef, id: DeviceId): Promise<Device> {
  const found = await requireVisible(unit.tx, actor, id);
  await unit.lock(circleTopic(found.circleId));
  return requireVisible(unit.tx, actor, id);
}

/** Returns a device. Throws NOT_FOUND unless the actor belongs to its circle. */
export async function requireDevice(deps: Deps, actor: ActorRef, id: DeviceId): Promise<Device> {
  return requireVisible(deps.db, actor, id);
}

async function requireVisible(db: Db | Tx, actor: ActorRef, id: DeviceId): Promise<Device> {
  const device = await devices.findById(db, id);
  const access = device && (await circles.findAccess(db, actor, device.circleId));
  if (device === undefined || access === undefined) throw notFound('The device');
  return device;
}

/** Finds the devices of circles, without an access check. */
export async function findDevicesByCircles(
  deps: Deps,
  ids: readonly CircleId[],
): Promise<Map<CircleId, Device>> {
  const found = await devices.findByCircles(deps.db, ids);
  return new Map(found.map((device) => [device.circleId, device]));
}

/** Finds devices without an access check, for ids that the actor was already shown. */
export async function findDevicesById(deps: Deps, ids: readonly DeviceId[]): Promise<Map<DeviceId, Device>> {
  return indexById(await devices.findByIds(deps.db, ids));
}

const deviceRef = (device: Device): ActorRef => ({ kind: 'device', id: device.id });
