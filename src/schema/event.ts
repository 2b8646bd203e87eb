import type { DomainEvent } from '../events/event.ts';
import type { StreamItem } from '../events/stream.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';

/** GraphQL type name of each domain event; null for internal events, which no stream delivers. */
const NAMES = {
  'message.sent': 'MessageSent',
  'message.updated': 'MessageUpdated',
  'message.deleted': 'MessageDeleted',
  'media.uploaded': 'MediaUploaded',
  'conversation.updated': 'ConversationUpdated',
  'conversation.deleted': 'ConversationDeleted',
  'participant.joined': 'ParticipantJoined',
  'participant.left': 'ParticipantLeft',
  'participant.kicked': 'ParticipantKicked',
  'participant.promoted': 'ParticipantPromoted',
  'device-access.changed': 'DeviceAccessChanged',
  'call.started': 'CallStarted',
  'call.participant-joined': 'CallParticipantJoined',
  'call.participant-left': 'CallParticipantLeft',
  'call.ended': 'CallEnded',
  'circle.updated': 'CircleUpdated',
  'circle.deleted': 'CircleDeleted',
  'member.joined': 'MemberJoined',
  'member.left': 'MemberLeft',
  'member.kicked': 'MemberKicked',
  'device.added': 'DeviceAdded',
  'device.updated': 'DeviceUpdated',
  'device.removed': 'DeviceRemoved',
  'circle.invited': 'CircleInvited',
  'conversation.invited': 'ConversationInvited',
  'conversation.promoted': 'Promoted',
  'read-state.changed': 'ReadStateChanged',
  'session.ended': null,
  'account.deleted': null,
} as const satisfies Record<DomainEvent['type'], string | null>;

/** A stream item with an event of the given type. */
export type EventItem<Type extends DomainEvent['type']> = Extract<StreamItem, { type: 'event' }> & {
  readonly event: Extract<DomainEvent, { type: Type }>;
};

const resolveEventType = (item: StreamItem) => (item.type === 'live' ? 'StreamLive' : NAMES[item.event.type]);

export const Event = builder.interfaceRef<StreamItem>('Event').implement({
  description:
    'An event in a durable stream. Events of a stream are delivered in order, each exactly once. Slow readers are not disconnected and miss no events.',
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'The event’s position in the stream. To resume from here, subscribe with it as `after`.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'Time of the event.' }),
  }),
  resolveType: resolveEventType,
});

const StreamLive = builder.objectRef<StreamItem>('StreamLive');
StreamLive.addInterfaces([Event]);
StreamLive.implement({
  description:
    'Marks the end of replay, once in every stream: later events are live. Its cursor is the position reached.',
});

/** Defines the interface of one stream's events, which `StreamLive` implements, too. */
export function streamType(name: string, description: string) {
  const ref = builder
    .interfaceRef<StreamItem>(name)
    .implement({ description, interfaces: [Event], resolveType: resolveEventType });
  StreamLive.addInterfaces([ref]);
  return ref;
}

/** Creates the ref of the object type for a domain event. */
export const eventType = <Type extends Exclude<DomainEvent['type'], 'session.ended' | 'account.deleted'>>(
  type: Type,
) => builder.objectRef<EventItem<Type>>(NAMES[type]);

/**
 * Returns the cursor from which a stream starts. A reconnecting EventSource repeats its operation with the old `after`, so
 * its `Last-Event-ID` takes precedence.
 */
export const startCursor = (
  args: { readonly after?: string | null | undefined },
  context: Context,
): string | null => context.resumeAfter || args.after || null;

/** Description of how every durable stream proceeds. */
export const STREAM_DESCRIPTION =
  'Replays the events after the cursor, then delivers `StreamLive`, then live events. CURSOR_INVALID if `after` is not a cursor of this stream; CURSOR_EXPIRED if events after it are no longer stored: query the data again and subscribe after its `eventCursor`.';

/** Errors of the streams that belong to an object. FORBIDDEN and NOT_FOUND also end a running stream. */
export const STREAM_ERRORS_DESCRIPTION =
  'Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CURSOR_INVALID, CURSOR_EXPIRED.';

export const AFTER_DESCRIPTION =
  'Cursor to resume after: that of an event, or an `eventCursor`. If absent, null or empty, the stream starts with live events.';
