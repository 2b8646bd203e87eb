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
  'An event of `circleEvents`. Only the types of that stream implement this interface.',
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
CircleDeleted.implement({
  description: 'The circle was deleted, or its last member left. The stream ends after this event.',
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
  description: 'A user accepted an invitation and joined the circle.',
});
MemberLeft.implement({ description: 'A user left. The stream ends if it was the subscriber.' });
MemberKicked.implement({
  description: 'A user was removed. The stream ends if it was the subscriber.',
  fields: (t) => ({
    by: t.field({ type: User, description: 'The user who removed them.', resolve: ({ event }) => event.by }),
  }),
});
for (const ref of [MemberJoined, MemberLeft, MemberKicked]) {
  builder.objectField(ref, 'user', (t) =>
    t.field({
      type: User,
      description: 'The affected user, at the time of the event.',
      resolve: ({ event }) => event.user,
    }),
  );
}

DeviceAdded.implement({ description: 'A device was added to the circle.' });
DeviceUpdated.implement({ description: 'The circle’s device was renamed.' });
DeviceRemoved.implement({
  description: 'The circle’s device was removed. The stream ends if it is the subscriber.',
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

function circleIdOf(event: CircleFact): number {
  if ('circle' in event) return event.circle.id;
  return 'device' in event ? event.device.circleId : event.circleId;
}

const Presence = builder.objectRef<PresenceChange>('Presence').implement({
  description: 'A change of an account’s presence.',
  fields: (t) => ({
    actor: t.field({ type: Actor, description: 'The account.', resolve: ({ actor }) => actorSource(actor) }),
    online: t.exposeBoolean('online', { description: 'Whether the account is online.' }),
  }),
});

const circleId = 'Global id of a circle. NOT_FOUND unless the caller belongs to it.';

builder.subscriptionFields((t) => ({
  circleEvents: t.field({
    type: CircleEvent,
    description: `Events of a circle: name, members, device. ${STREAM} Ends after the event that removes the subscriber. Errors: NOT_FOUND, CURSOR_INVALID, CURSOR_EXPIRED.`,
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
      'Presence of the accounts in a circle. Starts with one item for each online account, then publishes changes. A reconnect within a few seconds is no change. Ephemeral: a slow reader receives only the newest state of each account. Errors: NOT_FOUND.',
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
