import { openCircleEvents } from '../domain/circles.ts';
import { openPresence } from '../domain/presence.ts';
import type { PresenceChange } from '../domain/presence.ts';
import type { CircleEvent as CircleDomainEvent } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import {
  AFTER_DESCRIPTION,
  Event,
  STREAM_DESCRIPTION,
  STREAM_ERRORS_DESCRIPTION,
  eventType,
  startCursor,
  streamType,
} from './event.ts';
import { requireId } from './global-id.ts';
import { Actor, Circle, Device, User, actorSource } from './refs.ts';

const CircleEvent = streamType('CircleEvent', 'An event of `circleEvents`.');

const CircleUpdated = eventType('circle.updated');
const CircleDeleted = eventType('circle.deleted');
const MemberJoined = eventType('member.joined');
const MemberLeft = eventType('member.left');
const MemberKicked = eventType('member.kicked');
const DeviceAdded = eventType('device.added');
const DeviceUpdated = eventType('device.updated');
const DeviceRemoved = eventType('device.removed');

const eventTypes = [
  CircleUpdated,
  CircleDeleted,
  MemberJoined,
  MemberLeft,
  MemberKicked,
  DeviceAdded,
  DeviceUpdated,
  DeviceRemoved,
];

for (const ref of eventTypes) {
  ref.addInterfaces([Event, CircleEvent]);
  builder.objectField(ref, 'circleId', (t) =>
    t.id({
      description: 'Global id of the circle.',
      resolve: ({ event }) => encodeGlobalId('Circle', circleIdOf(event)),
    }),
  );
}

CircleUpdated.implement({ description: 'The circle was renamed.' });
CircleDeleted.implement({
  description: 'The circle was deleted, by an admin or because its last member left. Ends the stream.',
});
for (const ref of [CircleUpdated, CircleDeleted]) {
  builder.objectField(ref, 'circle', (t) =>
    t.field({
      type: Circle,
      description: 'The circle at the time of the event.',
      resolve: ({ event }) => event.circle,
    }),
  );
}

MemberJoined.implement({
  description: 'A user accepted an invitation and became a member.',
});
MemberLeft.implement({ description: 'A member left the circle. Ends the stream of that member.' });
MemberKicked.implement({
  description: 'A member was removed from the circle. Ends the stream of that member.',
  fields: (t) => ({
    by: t.field({
      type: User,
      description: 'The admin who removed the member.',
      resolve: ({ event }) => event.by,
    }),
  }),
});
for (const [ref, subject] of [
  [MemberJoined, 'new member'],
  [MemberLeft, 'former member'],
  [MemberKicked, 'removed member'],
] as const) {
  builder.objectField(ref, 'user', (t) =>
    t.field({
      type: User,
      description: `The ${subject}, at the time of the event. In a replay after the account was deleted: without names, e-mail and birthday.`,
      resolve: ({ event }) => event.user,
    }),
  );
}

DeviceAdded.implement({ description: 'A device was added to the circle.' });
DeviceUpdated.implement({ description: 'The circle’s device was renamed.' });
DeviceRemoved.implement({
  description: 'The circle’s device was removed. Ends the stream of the device.',
});
for (const ref of [DeviceAdded, DeviceUpdated, DeviceRemoved]) {
  builder.objectField(ref, 'device', (t) =>
    t.field({
      type: Device,
      description: 'The device at the time of the event.',
      resolve: ({ event }) => event.device,
    }),
  );
}

function circleIdOf(event: CircleDomainEvent): number {
  if ('circle' in event) return event.circle.id;
  return 'device' in event ? event.device.circleId : event.circleId;
}

const Presence = builder.objectRef<PresenceChange>('Presence').implement({
  description: 'The online status of an account.',
  fields: (t) => ({
    actor: t.field({ type: Actor, description: 'The account.', resolve: ({ actor }) => actorSource(actor) }),
    online: t.exposeBoolean('online', { description: 'Whether the account is online.' }),
  }),
});

const circleIdDescription = 'Global id of the circle. NOT_FOUND unless you belong to it.';

builder.subscriptionFields((t) => ({
  circleEvents: t.field({
    type: CircleEvent,
    description: `Events of a circle: changes of its name, members and device. ${STREAM_DESCRIPTION} When your membership ends, the stream ends after the corresponding event. ${STREAM_ERRORS_DESCRIPTION}`,
    args: {
      circleId: t.arg.id({ required: true, description: circleIdDescription }),
      after: t.arg({ type: 'Cursor', description: AFTER_DESCRIPTION }),
    },
    subscribe: (_root, args, context) =>
      openCircleEvents(
        context.deps,
        requireSession(context),
        { circleId: requireId('Circle', 'circleId', args.circleId), after: startCursor(args, context) },
        context,
      ),
    resolve: (item) => item,
  }),
  presence: t.field({
    type: Presence,
    description:
      'Online status of the accounts in a circle: first one item for each account that is online, then every change. An account counts as offline 5 s (by default) after its last connection closed. Ephemeral: a slow reader receives only the newest status of each account. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { circleId: t.arg.id({ required: true, description: circleIdDescription }) },
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
