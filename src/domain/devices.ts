import type { Device } from '../db/tables.ts';
import type { CircleId, DeviceId } from '../ids.ts';
import type { Actor } from './actor.ts';
import type { Deps } from './deps.ts';

/** Adds the circle's device. The password is told this once. */
export async function addDevice(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly circleId: CircleId; readonly name: string },
): Promise<{ device: Device; username: string; password: string }> {
  throw new Error('not yet');
}

export async function updateDevice(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly deviceId: DeviceId; readonly name: string },
): Promise<Device> {
  throw new Error('not yet');
}

/** Answers the device as it was. */
export async function removeDevice(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly deviceId: DeviceId },
): Promise<Device> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor belongs to the device's circle. */
export async function requireDevice(_deps: Deps, _actor: Actor, _id: DeviceId): Promise<Device> {
  throw new Error('not yet');
}

/** The device of each circle that has one. Checks nothing. */
export async function devicesOfCircles(
  _deps: Deps,
  _ids: readonly CircleId[],
): Promise<Map<CircleId, Device>> {
  throw new Error('not yet');
}

/** For devices that the actor was already shown: checks nothing. */
export async function devicesById(_deps: Deps, _ids: readonly DeviceId[]): Promise<Map<DeviceId, Device>> {
  throw new Error('not yet');
}
