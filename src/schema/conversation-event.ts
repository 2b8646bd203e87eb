import { openConversationEvents } from '../domain/conversations.ts';
import { openTyping } from '../domain/typing.ts';
import type { TypingChange } from '../domain/typing.ts';
import type { ConversationEvent as ConversationFact } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import { AFTER, Event, STREAM, eventType, startOf, streamType } from './event.ts';
import { requireId } from './global-id.ts';
import { Actor, Conversation, Media, Message, User, actorSource } from './refs.ts';
import type { MessageSource } from './refs.ts';

const ConversationEvent = streamType(
  'ConversationEvent',
  'An event of `conversationEvents`: only its types implement this interface.',
);

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

const all = [
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

for (const ref of all) {
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
      description: 'The message as it was then, with its author and files.',
      resolve: ({ event }) => messageSource(event),
    }),
  );
}

MessageDeleted.implement({
  description: 'A message was deleted, with its files.',
  fields: (t) => ({
    messageId: t.id({
      description: 'Global id of the message. It cannot be read any more.',
      resolve: ({ event }) => encodeGlobalId('Message', event.messageId),
    }),
  }),
});

MediaUploaded.implement({
  description: 'A file of a message arrived. With the last one the message is DONE.',
  fields: (t) => ({
    message: t.field({
      type: Message,
      description: 'The message as it was then, with its author and files.',
      resolve: ({ event }) => messageSource(event),
    }),
    media: t.field({
      type: Media,
      description: 'The file that arrived.',
      resolve: ({ event }) => ({ ...event.uploaded, message: messageSource(event) }),
    }),
  }),
});

ConversationUpdated.implement({ description: 'The conversation was renamed.' });
ConversationDeleted.implement({
  description: 'The conversation was deleted, or too few were left in it. The stream ends.',
});
for (const ref of [ConversationUpdated, ConversationDeleted]) {
  builder.objectField(ref, 'conversation', (t) =>
    t.field({
      type: Conversation,
      description: 'The conversation as it was then.',
      resolve: ({ event }) => event.conversation,
    }),
  );
}

ParticipantJoined.implement({ description: 'Somebody takes part from now on.' });
ParticipantLeft.implement({ description: 'Somebody left. If it was you, the stream ends.' });
ParticipantKicked.implement({
  description: 'Somebody was removed. If it was you, the stream ends.',
  fields: (t) => ({
    by: t.field({ type: User, description: 'Who removed them.', resolve: ({ event }) => event.by }),
  }),
});
ParticipantPromoted.implement({ description: 'Somebody became ADMIN, and the one who was became STANDARD.' });
for (const ref of [ParticipantJoined, ParticipantLeft, ParticipantKicked, ParticipantPromoted]) {
  builder.objectField(ref, 'user', (t) =>
    t.field({
      type: User,
      description: 'Whom it is about, as they were then.',
      resolve: ({ event }) => event.user,
    }),
  );
}

DeviceAccessChanged.implement({
  description:
    'The circle’s device takes part from now on, or no longer. If you are the device, the stream ends.',
  fields: (t) => ({
    allowed: t.boolean({ description: 'Whether it takes part.', resolve: ({ event }) => event.allowed }),
  }),
});

function conversationIdOf(event: ConversationFact): number {
  if ('message' in event) return event.message.conversationId;
  if ('participant' in event) return event.participant.conversationId;
  return 'conversation' in event ? event.conversation.id : event.conversationId;
}

type MessageFact = Extract<ConversationFact, { readonly message: unknown }>;

const messageSource = ({ message, author, media }: MessageFact): MessageSource => ({
  ...message,
  author: actorSource(author),
  media,
});

const Typing = builder.objectRef<TypingChange>('Typing').implement({
  description: 'That somebody is typing, or has stopped.',
  fields: (t) => ({
    actor: t.field({ type: Actor, description: 'Who.', resolve: ({ actor }) => actorSource(actor) }),
    isTyping: t.exposeBoolean('isTyping', { description: 'Whether they are typing.' }),
  }),
});

const conversationId = 'The conversation. NOT_FOUND unless you take part in it.';

builder.subscriptionFields((t) => ({
  conversationEvents: t.field({
    type: ConversationEvent,
    description: `What happens in a conversation: messages, files, participants, the device’s access. ${STREAM} Ends when you no longer take part, after the event that says so.`,
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      after: t.arg({ type: 'Cursor', description: AFTER }),
    },
    subscribe: (_root, args, context) =>
      openConversationEvents(
        context.deps,
        requireSession(context),
        {
          conversationId: requireId('Conversation', 'conversationId', args.conversationId),
          after: startOf(args, context),
        },
        context,
      ),
    resolve: (item) => item,
  }),
  typing: t.field({
    type: Typing,
    description:
      'Who is typing in a conversation, by `setTyping` or from Socket.IO, yourself included. Nothing is kept: who reads slowly gets only the newest state of each.',
    args: { conversationId: t.arg.id({ required: true, description: conversationId }) },
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
