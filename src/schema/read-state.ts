import { markRead } from '../domain/read-state.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { Conversation, Message } from './refs.ts';

builder.objectFields(Conversation, (t) => ({
  unreadCount: t.int({
    ...perActor,
    description:
      'The number of messages that others sent after those that you have read, at most 10,000; 0 for former participants. A participant starts with none. See `markRead`.',
    resolve: ({ id, unreadCount }, _args, { loaders }) =>
      unreadCount ?? loaders.unreadCount(id).then((count) => count ?? 0),
  }),
  lastReadMessage: t.field({
    type: Message,
    nullable: true,
    ...perActor,
    description:
      'The newest message that you have read; null without one, and for former participants. If the message that you marked was deleted, the one before it.',
    resolve: ({ id }, _args, { loaders }) => loaders.lastReadMessage(id),
  }),
}));

builder.mutationFields((t) => ({
  markRead: t.field({
    type: Conversation,
    description:
      'Marks the messages of a conversation as read, up to and including this one. Publishes `ReadStateChanged` in your inbox, unless you have read further already. Within 100 ms after another mark in the conversation it waits, and those that wait are merged. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, RATE_LIMITED.',
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'Global id of the conversation. NOT_FOUND unless you take part in it.',
      }),
      messageId: t.arg.id({
        required: true,
        description: 'Global id of the message. NOT_FOUND unless it is in the conversation.',
      }),
    },
    resolve: (_root, args, context) =>
      markRead(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        messageId: requireId('Message', 'messageId', args.messageId),
      }),
  }),
}));
