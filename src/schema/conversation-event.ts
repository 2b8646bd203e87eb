import { openConversationEvents } from '../domain/conversations.ts';
import { openTyping } from '../domain/typing.ts';
import type { TypingChange } from '../domain/typing.ts';
import type { ConversationEvent as ConversationDomainEvent } from '../events/event.ts';
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
import { Actor, Conversation, Media, Message, User, actorSource } from './refs.ts';
import type { MessageSource } from './refs.ts';

const ConversationEvent = streamType('ConversationEvent', 'An event of `conversationEvents`.');

const MessageSent = eventType('message.sent');
const MessageUpdated = eventType('message.updated');
const MessageDeleted = eventType('message.deleted');
const MediaUploaded = eventType('media.uploaded');
const ConversationUpdated = eventType('conversation.updated');
const ConversationDeleted = eventType('conversation.deleted');
const ParticipantJoined = eventType('participant.joined');
const ParticipantLeft = eventType('participant.left');
const ParticipantKicked = eventType('participant.kicked');
const ParticipantPromoted = eventType('participant.promoted');
const DeviceAccessChanged = eventType('device-access.changed');

const eventTypes = [
  MessageSent,
  MessageUpdated,
  MessageDeleted,
  MediaUploaded,
  ConversationUpdated,
  ConversationDeleted,
  ParticipantJoined,
  ParticipantLeft,
  ParticipantKicked,
  ParticipantPromoted,
  DeviceAccessChanged,
];

for (const ref of eventTypes) {
  ref.addInterfaces([Event, ConversationEvent]);
  builder.objectField(ref, 'conversationId', (t) =>
    t.id({
      description: 'Global id of the conversation.',
      resolve: ({ event }) => encodeGlobalId('Conversation', conversationIdOf(event)),
    }),
  );
}

MessageSent.implement({ description: 'A message was sent.' });
MessageUpdated.implement({ description: 'The text of a message was changed.' });
for (const ref of [MessageSent, MessageUpdated]) {
  builder.objectField(ref, 'message', (t) =>
    t.field({
      type: Message,
      description:
        'The message at the time of the event, with its author and files. In a replay: with its current text.',
      resolve: ({ event }) => messageSource(event),
    }),
  );
}

MessageDeleted.implement({
  description: 'A message was deleted, with its files.',
  fields: (t) => ({
    messageId: t.id({
      description: 'Global id of the message, which can no longer be queried.',
      resolve: ({ event }) => encodeGlobalId('Message', event.messageId),
    }),
  }),
});

MediaUploaded.implement({
  description: 'A file of a message was uploaded. With its last file the message is DONE.',
  fields: (t) => ({
    message: t.field({
      type: Message,
      description:
        'The message at the time of the event, with its author and files. In a replay: with its current text.',
      resolve: ({ event }) => messageSource(event),
    }),
    media: t.field({
      type: Media,
      description: 'The uploaded file.',
      resolve: ({ event }) => ({ ...event.uploaded, message: messageSource(event) }),
    }),
  }),
});

ConversationUpdated.implement({
  description: 'The conversation was renamed, or its read receipts were turned on or off.',
});
ConversationDeleted.implement({
  description:
    'The conversation was deleted, with its circle or because fewer than two remained. Ends the stream.',
});
for (const ref of [ConversationUpdated, ConversationDeleted]) {
  builder.objectField(ref, 'conversation', (t) =>
    t.field({
      type: Conversation,
      description: 'The conversation at the time of the event.',
      resolve: ({ event }) => event.conversation,
    }),
  );
}

ParticipantJoined.implement({ description: 'A user was added to the conversation.' });
ParticipantLeft.implement({
  description: 'A participant left the conversation. Ends the stream of that participant.',
});
ParticipantKicked.implement({
  description: 'A participant was removed from the conversation. Ends the stream of that participant.',
  fields: (t) => ({
    by: t.field({
      type: User,
      description: 'The admin who removed the participant.',
      resolve: ({ event }) => event.by,
    }),
  }),
});
ParticipantPromoted.implement({
  description: 'A participant became ADMIN; the former ADMIN became STANDARD.',
});
for (const [ref, subject] of [
  [ParticipantJoined, 'new participant'],
  [ParticipantLeft, 'former participant'],
  [ParticipantKicked, 'removed participant'],
  [ParticipantPromoted, 'new ADMIN'],
] as const) {
  builder.objectField(ref, 'user', (t) =>
    t.field({
      type: User,
      description: `The ${subject}, at the time of the event. In a replay after the account was deleted: without names, e-mail and birthday.`,
      resolve: ({ event }) => event.user,
    }),
  );
}

DeviceAccessChanged.implement({
  description:
    'The access of the circle’s device was granted or removed. Removal ends the stream of the device.',
  fields: (t) => ({
    allowed: t.boolean({
      description: 'Whether the device has access.',
      resolve: ({ event }) => event.allowed,
    }),
  }),
});

function conversationIdOf(event: ConversationDomainEvent): number {
  if ('message' in event) return event.message.conversationId;
  if ('participant' in event) return event.participant.conversationId;
  return 'conversation' in event ? event.conversation.id : event.conversationId;
}

type MessageDomainEvent = Extract<ConversationDomainEvent, { readonly message: unknown }>;

const messageSource = ({ message, author, media }: MessageDomainEvent): MessageSource => ({
  ...message,
  author: author.deleted === true ? null : actorSource(author),
  media,
});

const Typing = builder.objectRef<TypingChange>('Typing').implement({
  description: 'The typing status of an account.',
  fields: (t) => ({
    actor: t.field({ type: Actor, description: 'The account.', resolve: ({ actor }) => actorSource(actor) }),
    isTyping: t.exposeBoolean('isTyping', { description: 'Whether the account is typing.' }),
  }),
});

const conversationIdDescription = 'Global id of the conversation. NOT_FOUND unless you take part in it.';

builder.subscriptionFields((t) => ({
  conversationEvents: t.field({
    type: ConversationEvent,
    description: `Events of a conversation: messages, uploaded files, participants and the device’s access. ${STREAM_DESCRIPTION} When your access ends, the stream ends after the corresponding event. ${STREAM_ERRORS_DESCRIPTION}`,
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      after: t.arg({ type: 'Cursor', description: AFTER_DESCRIPTION }),
    },
    subscribe: (_root, args, context) =>
      openConversationEvents(
        context.deps,
        requireSession(context),
        {
          conversationId: requireId('Conversation', 'conversationId', args.conversationId),
          after: startCursor(args, context),
        },
        context,
      ),
    resolve: (item) => item,
  }),
  typing: t.field({
    type: Typing,
    description:
      'Typing status in a conversation, from `setTyping` and Socket.IO clients, including your own. Ephemeral: a slow reader receives only the newest status of each account. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { conversationId: t.arg.id({ required: true, description: conversationIdDescription }) },
    subscribe: (_root, args, context) =>
      openTyping(
        context.deps,
        requireSession(context),
        { conversationId: requireId('Conversation', 'conversationId', args.conversationId) },
        context.signal,
      ),
    resolve: (item) => item,
  }),
}));
