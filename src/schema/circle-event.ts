import { openCircleEvents } from '../domain/circles.ts';
import { openPresence } from '../domain/presence.ts';
import type { PresenceChange } from '../domain/presence.ts';
import type { CircleEvent as CircleFact } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import { AFTER, Event, STREAM, eventType, startOf, streamType } from './event.ts';
import { requireId } from './global-id.ts';
import { Actor, Circle, Device, User, actorSource } from './refs.ts';

const CircleEvent = streamType(
  'CircleEvent',
  'An event of `circleEvents`: only its types implement this interface.',
);

const CircleUpdated = eventType('circle.updated');
const CircleDeleted = eventType('circle.deleted');
const MemberJoined = eventType('member.joined');
const MemberLeft = eventType('member.left');
const MemberKicked = eventType('member.kicked');
const DeviceAdded = eventType('device.added');
const DeviceUpdated = eventType('device.updated');
const DeviceRemoved = eventType('device.removed');

const all = [
  CircleUpdated,
  CircleDeleted,
  MemberJoined,
  MemberLeft,
  MemberKicked,
  DeviceAdded,
  DeviceUpdated,
  DeviceRemoved,
];

for (const ref of all) {
  ref.addInterfaces([Event, CircleEvent]);
  builder.objectField(ref, 'circleId', (t) =>
    t.id({
      description: 'Global id of the circle.',
      resolve: ({ event }) => encodeGlobalId('Circle', circleIdOf(event)),
    }),
  );
}

CircleUpdated.implement({ description: 'The circle was renamed.' });
CircleDeleted.implement({ description: 'The circle was deleted, or its last member left. The stream ends.' });
for (const ref of [CircleUpdated, CircleDeleted]) {
  builder.objectField(ref, 'circle', (t) =>
    t.field({
      type: Circle,
      description: 'The circle as it was then.',
      resolve: ({ event }) => event.circle,
    }),
  );
}

MemberJoined.implement({
  description: 'Somebody accepted an invitation, and belongs to the circle from now on.',
});
MemberLeft.implement({ description: 'Somebody left. If it was you, the stream ends.' });
MemberKicked.implement({
  description: 'Somebody was removed. If it was you, the stream ends.',
  fields: (t) => ({
    by: t.field({ type: User, description: 'Who removed them.', resolve: ({ event }) => event.by }),
  }),
});
for (const ref of [MemberJoined, MemberLeft, MemberKicked]) {
  builder.objectField(ref, 'user', (t) =>
    t.field({
      type: User,
      description: 'Whom it is about, as they were then.',
      resolve: ({ event }) => event.user,
    }),
  );
}

DeviceAdded.implement({ description: 'The circle got its device.' });
DeviceUpdated.implement({ description: 'The circle’s device was renamed.' });
DeviceRemoved.implement({
  description: 'The circle’s device was removed. If you are the device, the stream ends.',
});
for (const ref of [DeviceAdded, DeviceUpdated, DeviceRemoved]) {
  builder.objectField(ref, 'device', (t) =>
    t.field({
      type: Device,
      description: 'The device as it was then.',
      resolve: ({ event }) => event.device,
    }),
  );
}

function circleIdOf(event: CircleFact): number {
  if ('circle' in event) return event.circle.id;
  return 'device' in event ? event.device.circleId : event.circleId;
}

const Presence = builder.objectRef<PresenceChange>('Presence').implement({
  description: 'That somebody is online, or no longer.',
  fields: (t) => ({
    actor: t.field({ type: Actor, description: 'Who.', resolve: ({ actor }) => actorSource(actor) }),
    online: t.exposeBoolean('online', { description: 'Whether they are online.' }),
  }),
});

const circleId = 'The circle. NOT_FOUND unless you belong to it.';

builder.subscriptionFields((t) => ({
  circleEvents: t.field({
    type: CircleEvent,
    description: `What happens to a circle: its name, its members, its device. ${STREAM} Ends when you no longer belong to it, after the event that says so.`,
    args: {
      circleId: t.arg.id({ required: true, description: circleId }),
      after: t.arg({ type: 'Cursor', description: AFTER }),
    },
    subscribe: (_root, args, context) =>
      openCircleEvents(
        context.deps,
        requireSession(context),
        { circleId: requireId('Circle', 'circleId', args.circleId), after: startOf(args, context) },
        context,
      ),
    resolve: (item) => item,
  }),
  presence: t.field({
    type: Presence,
    description:
      'Who of a circle is online. Begins with one item for each who is, then says every change. Whoever comes back within a few seconds is not said to have left. Nothing is kept: who reads slowly gets only the newest state of each.',
    args: { circleId: t.arg.id({ required: true, description: circleId }) },
    subscribe: (_root, args, context) =>
      openPresence(
        context.deps,
        requireSession(context),
        { circleId: requireId('Circle', 'circleId', args.circleId) },
        context.signal,
      ),
    resolve: (item) => item,
  }),
}));
