import * as devices from '../domain/devices.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { PASSWORD } from './complexity.ts';
import { isOnline } from './loaders.ts';
import { Circle, Device } from './refs.ts';
import type { DeviceSource } from './refs.ts';

Device.implement({
  description: 'A device shared by a circle, such as a kitchen tablet, with an account of its own.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id: `device_id` and `sender.id` of Socket.IO clients.',
    }),
    name: t.exposeString('name', { description: 'Name of the device.' }),
    username: t.exposeString('username', { description: 'Username for `loginDevice`.' }),
    activated: t.exposeBoolean('activated', { description: 'Whether the device may log in.' }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'Time at which the device was added.',
    }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last change.' }),
    isOnline: t.boolean({
      description:
        'Whether the device has an authenticated connection on any node. In an event: the state at the time of the event.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'device', id }, loaders),
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The circle of the conversation; null if it has been deleted.',
      resolve: ({ circleId }, _args, { loaders }) => loaders.circle(circleId),
    }),
  }),
});

const AddDevicePayload = builder
  .objectRef<{ device: DeviceSource; username: string; password: string }>('AddDevicePayload')
  .implement({
    description: 'A new device with its credentials.',
    fields: (t) => ({
      device: t.expose('device', { type: Device, description: 'The device.' }),
      username: t.exposeString('username', { description: 'Username for `loginDevice`.' }),
      password: t.exposeString('password', {
        description: 'Password for `loginDevice`, valid until the device is removed. Returned only once.',
      }),
    }),
  });

const deviceId = 'Global id of a device. NOT_FOUND unless it is in one of the caller’s circles.';

builder.mutationFields((t) => ({
  addDevice: t.field({
    type: AddDevicePayload,
    complexity: PASSWORD,
    description:
      'Adds a device to a circle. ADMIN only. CONFLICT if the circle has one already. Publishes `DeviceAdded`. Errors: NOT_FOUND, FORBIDDEN, CONFLICT, INVALID_INPUT.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of a circle. NOT_FOUND unless the caller belongs to it.',
      }),
      name: t.arg.string({
        required: true,
        description: 'Name, 1 to 120 characters, at least one visible. Surrounding whitespace is trimmed.',
      }),
    },
    resolve: (_root, { circleId, name }, context) =>
      devices.addDevice(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', circleId),
        name,
      }),
  }),
  updateDevice: t.field({
    type: Device,
    description:
      'Renames a device. ADMIN of its circle or the device itself only. Publishes `DeviceUpdated`. Errors: NOT_FOUND, FORBIDDEN, INVALID_INPUT.',
    args: {
      deviceId: t.arg.id({ required: true, description: deviceId }),
      name: t.arg.string({
        required: true,
        description: 'Name, 1 to 120 characters, at least one visible. Surrounding whitespace is trimmed.',
      }),
    },
    resolve: (_root, args, context) =>
      devices.updateDevice(context.deps, requireActor(context), {
        deviceId: requireId('Device', 'deviceId', args.deviceId),
        name: args.name,
      }),
  }),
  removeDevice: t.field({
    type: Device,
    description:
      'Removes a device and its account: closes its connections and keeps its messages without author. ADMIN only. Publishes `DeviceRemoved`, and `DeviceAccessChanged` in the conversations it had access to. Returns the deleted device. Errors: NOT_FOUND, FORBIDDEN.',
    args: { deviceId: t.arg.id({ required: true, description: deviceId }) },
    resolve: (_root, args, context) =>
      devices.removeDevice(context.deps, requireActor(context), {
        deviceId: requireId('Device', 'deviceId', args.deviceId),
      }),
  }),
}));
