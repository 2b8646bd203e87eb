import * as devices from '../domain/devices.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { PASSWORD_COST } from './complexity.ts';
import { isOnline } from './loaders.ts';
import { Circle, Device } from './refs.ts';
import type { DeviceSource } from './refs.ts';

Device.implement({
  description:
    'A device shared by a circle, such as a kitchen tablet. It has its own account and logs in with `loginDevice`.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id. Socket.IO clients receive it as `device_id`, and as `id` of a `sender`.',
    }),
    name: t.exposeString('name', { description: 'The device’s name.' }),
    username: t.exposeString('username', { description: 'Username for `loginDevice`.' }),
    activated: t.exposeBoolean('activated', { description: 'Whether the device may log in.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last change.' }),
    isOnline: t.boolean({
      description:
        'Whether the device has an authenticated connection (WebSocket, event stream or Socket.IO) on any node. In an event: the status at the time of the event.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'device', id }, loaders),
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The device’s circle; null if it has been deleted.',
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
        description: 'Password for `loginDevice`. Returned only once, and valid until the device is removed.',
      }),
    }),
  });

const deviceIdDescription = 'Global id of the device. NOT_FOUND unless it belongs to one of your circles.';

builder.mutationFields((t) => ({
  addDevice: t.field({
    type: AddDevicePayload,
    complexity: PASSWORD_COST,
    description:
      'Adds a device to a circle. Allowed for its admins. CONFLICT if the circle already has one. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CONFLICT, RATE_LIMITED.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of the circle. NOT_FOUND unless you belong to it.',
      }),
      name: t.arg.string({
        required: true,
        description:
          'Name, 1 to 120 characters, at least one of them visible. Surrounding whitespace is removed.',
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
      'Renames a device. Allowed for the admins of its circle and for the device itself. Publishes `DeviceUpdated`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      deviceId: t.arg.id({ required: true, description: deviceIdDescription }),
      name: t.arg.string({
        required: true,
        description:
          'Name, 1 to 120 characters, at least one of them visible. Surrounding whitespace is removed.',
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
      'Removes a device from its circle and deletes its account. Its connections end and its messages stay without an author. Allowed for the circle’s admins. Publishes `DeviceRemoved`, and `DeviceAccessChanged` in each conversation to which it had access. Returns the device as it was. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { deviceId: t.arg.id({ required: true, description: deviceIdDescription }) },
    resolve: (_root, args, context) =>
      devices.removeDevice(context.deps, requireActor(context), {
        deviceId: requireId('Device', 'deviceId', args.deviceId),
      }),
  }),
}));
