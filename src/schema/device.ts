import * as devices from '../domain/devices.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { PASSWORD } from './complexity.ts';
import { isOnline } from './loaders.ts';
import { Circle, Device } from './refs.ts';
import type { DeviceSource } from './refs.ts';

Device.implement({
  description:
    'A device that a circle shares, such as a tablet in the kitchen. It logs in and acts for itself.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Its number, which Socket.IO clients know as `device_id`, and as `id` of a `sender`.',
    }),
    name: t.exposeString('name', { description: 'What its people call it.' }),
    username: t.exposeString('username', { description: 'What it logs in as, with `loginDevice`.' }),
    activated: t.exposeBoolean('activated', { description: 'Whether it may log in.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was added to its circle.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
    isOnline: t.boolean({
      description:
        'Whether it has a live authenticated connection of any kind, on any node. In an event it is what it was at that moment.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'device', id }, loaders),
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The circle that it belongs to; null when that was deleted meanwhile.',
      resolve: ({ circleId }, _args, { loaders }) => loaders.circle(circleId),
    }),
  }),
});

const AddDevicePayload = builder
  .objectRef<{ device: DeviceSource; username: string; password: string }>('AddDevicePayload')
  .implement({
    description: 'A new device, with what it needs to log in.',
    fields: (t) => ({
      device: t.expose('device', { type: Device, description: 'The device.' }),
      username: t.exposeString('username', { description: 'Username for `loginDevice`.' }),
      password: t.exposeString('password', {
        description:
          'Password for `loginDevice`. It is shown this once, and valid until the device is removed.',
      }),
    }),
  });

const deviceId = 'The device. NOT_FOUND unless it is of one of your circles.';

builder.mutationFields((t) => ({
  addDevice: t.field({
    type: AddDevicePayload,
    complexity: PASSWORD,
    description:
      'Adds a device to a circle. A circle has at most one: a second is CONFLICT. Only for its admins.',
    args: {
      circleId: t.arg.id({ required: true, description: 'The circle. NOT_FOUND unless you belong to it.' }),
      name: t.arg.string({
        required: true,
        description:
          'Its name, 1 to 120 characters, at least one of them visible. Blanks around it are left out.',
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
    description: 'Renames a device. Only for the admins of its circle, and for itself.',
    args: {
      deviceId: t.arg.id({ required: true, description: deviceId }),
      name: t.arg.string({
        required: true,
        description:
          'Its name, 1 to 120 characters, at least one of them visible. Blanks around it are left out.',
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
      'Removes a device from its circle, and with it its account: its connections end, its messages stay without author, and the conversations that it had access to get `DeviceAccessChanged`. Only for admins. Answers the device as it was.',
    args: { deviceId: t.arg.id({ required: true, description: deviceId }) },
    resolve: (_root, args, context) =>
      devices.removeDevice(context.deps, requireActor(context), {
        deviceId: requireId('Device', 'deviceId', args.deviceId),
      }),
  }),
}));
