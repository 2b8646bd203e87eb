import type { DomainEvent } from '../events/event.ts';
import type { StreamItem } from '../events/stream.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';

/** What each fact is called here; null for what is shown to nobody. */
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
  'session.ended': null,
  'account.deleted': null,
} as const satisfies Record<DomainEvent['type'], string | null>;

/** Facts of some kinds, at their place in a stream. */
export type Fact<Type extends DomainEvent['type']> = Extract<StreamItem, { type: 'event' }> & {
  readonly event: Extract<DomainEvent, { type: Type }>;
};

const typeOf = (item: StreamItem) => (item.type === 'live' ? 'StreamLive' : NAMES[item.event.type]);

export const Event = builder.interfaceRef<StreamItem>('Event').implement({
  description:
    'Something that happened, at its place in a stream. Events of a stream come in the order in which they happened, each exactly once. Who falls behind is not cut off, and misses nothing.',
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Its place in the stream: subscribe `after` it to go on from here.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
  }),
  resolveType: typeOf,
});

const StreamLive = builder.objectRef<StreamItem>('StreamLive');
StreamLive.addInterfaces([Event]);
StreamLive.implement({
  description:
    'Said once in every stream: all that had happened before was replayed, and what follows happens now. Its cursor is the place reached.',
});

/** Names the type of a durable stream's events, which only they and `StreamLive` implement. */
export function streamType(name: string, description: string) {
  const ref = builder
    .interfaceRef<StreamItem>(name)
    .implement({ description, interfaces: [Event], resolveType: typeOf });
  StreamLive.addInterfaces([ref]);
  return ref;
}

/** Names the type of a fact, of which there is one for each. */
export const eventType = <Type extends Exclude<DomainEvent['type'], 'session.ended' | 'account.deleted'>>(
  type: Type,
) => builder.objectRef<Fact<Type>>(NAMES[type]);

/** Where a stream begins. A client that comes back repeats its operation, and says beside it where it was. */
export const startOf = (
  args: { readonly after?: string | null | undefined },
  context: Context,
): string | null => context.resumeAfter || args.after || null;

/** Said of every durable stream. */
export const STREAM =
  'Begins with what happened after the cursor, then says `StreamLive`, then goes on live. CURSOR_INVALID for what is no cursor of this stream, CURSOR_EXPIRED when events after it are no longer kept: read the data again and subscribe after its `eventCursor`.';

export const AFTER =
  'Cursor to go on after: of an event, or an `eventCursor`. Absent, null or empty, the stream starts now.';
