import * as messages from '../domain/messages.ts';
import { setTyping } from '../domain/typing.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { countText, requireActor, requireSession } from './context.ts';
import { requireId } from './global-id.ts';
import { LONG_TEXT_COST } from './complexity.ts';
import { loadAuthor } from './loaders.ts';
import { Actor, Conversation, Media, Message, MessageStatus, Participant, actorSource } from './refs.ts';
import type { MediaSource, MessageSource } from './refs.ts';

Message.implement({
  description: 'A message in a conversation.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id. Socket.IO clients receive it as `message_id`.' }),
    conversation: t.field({
      type: Conversation,
      nullable: true,
      description: 'The message’s conversation; null if it has been deleted.',
      resolve: ({ conversationId }, _args, { loaders }) => loaders.conversation(conversationId),
    }),
    author: t.field({
      type: Actor,
      nullable: true,
      description:
        'The sender; null if that account was deleted. In an event: the sender at the time of the event, or null if the account was deleted before a replay.',
      resolve: (message, _args, context) => authorOf(message, context),
    }),
    participant: t.field({
      type: Participant,
      nullable: true,
      description: 'The sender’s participant record; null for a device and for former participants.',
      resolve: ({ participantId }, _args, { loaders }) =>
        participantId === null ? null : loaders.participant(participantId),
    }),
    text: t.string({
      complexity: LONG_TEXT_COST,
      description:
        'The message’s text; empty for a message with files only. LIMIT_EXCEEDED if the texts of one response exceed 4,000,000 characters.',
      resolve: ({ text }, _args, context) => countText(context, text),
    }),
    status: t.expose('status', {
      type: MessageStatus,
      description: 'Whether all files of the message are uploaded.',
    }),
    sentAt: t.expose('sentAt', { type: 'DateTime', description: 'Time of sending.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change of the text, or of the last upload.',
    }),
    mediaCount: t.exposeInt('mediaCount', { description: 'Number of files.' }),
    media: t.field({
      type: [Media],
      description: 'The message’s files, uploaded or not, in the order in which they were declared.',
      resolve: (message, _args, context) => mediaOf(message, context),
    }),
  }),
});

/** Returns the author from the source, as events and pages have it, without a promise; otherwise loads it. */
const authorOf = (message: MessageSource, { loaders }: Context) =>
  message.author === undefined ? loadAuthor(message, loaders) : message.author;

const mediaOf = (
  message: MessageSource,
  context: Context,
): readonly MediaSource[] | Promise<readonly MediaSource[]> =>
  message.media?.map((media) => ({ ...media, message })) ?? loadMedia(message, context);

async function loadMedia(message: MessageSource, { loaders }: Context): Promise<readonly MediaSource[]> {
  const media = (message.mediaCount > 0 && (await loaders.mediaOf(message.id))) || [];
  return media.map((file) => ({ ...file, message }));
}

const SendMessagePayload = builder
  .objectRef<{ message: MessageSource; media: readonly MediaSource[] }>('SendMessagePayload')
  .implement({
    description: 'A sent message, with the media to upload.',
    fields: (t) => ({
      message: t.expose('message', {
        type: Message,
        description: 'The message; PENDING if it declares files.',
      }),
      media: t.expose('media', {
        type: [Media],
        description:
          'The media to upload, one per entry of `files`, in the same order. Upload each with `uploadMedia`, or POST it to `/media/upload/<legacyId>`.',
      }),
    }),
  });

const conversationIdDescription = 'Global id of the conversation. NOT_FOUND unless you take part in it.';
const messageIdDescription =
  'Global id of the message. NOT_FOUND if you may not read it, FORBIDDEN unless you sent it and still take part.';

builder.queryFields((t) => ({
  message: t.field({
    type: Message,
    nullable: true,
    description:
      'A message of a conversation in which you take part. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT.',
    args: { id: t.arg.id({ required: true, description: 'Global id of the message.' }) },
    resolve(_root, { id }, context) {
      const [actor, messageId] = [requireActor(context), requireId('Message', 'id', id)];
      return context.loaders.share(id, () => messages.requireMessage(context.deps, actor, messageId));
    },
  }),
}));

builder.mutationFields((t) => ({
  sendMessage: t.field({
    type: SendMessagePayload,
    description:
      'Sends a message. The message and its event are persisted when this returns. Publishes `MessageSent` to all participants, including you. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, CONFLICT, RATE_LIMITED.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      text: t.arg.string({
        description:
          'The text, at most 8192 characters. Must contain a visible character unless there are `files`.',
      }),
      files: t.arg.stringList({
        description:
          'An identifier for each file to be uploaded afterwards, within three days: at most 20, each at most 1024 characters.',
      }),
      idempotencyKey: t.arg.string({
        description:
          'A key of your choice for this message, 1 to 200 characters. Repeating the mutation with the same key sends nothing and returns the first message, so it is safe to retry. CONFLICT if that message is in another conversation or was deleted.',
      }),
    },
    // Its own transaction checks the session.
    extensions: { checksSession: true },
    resolve: (_root, args, context) => {
      const session = requireSession(context);
      return messages
        .sendMessage(context.deps, session.actor, {
          ...args,
          session,
          rejectBlank: !context.legacy,
          conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        })
        .then(({ message, author, media }) => ({
          message: { ...message, author: actorSource(author), media },
          media,
        }));
    },
  }),
  updateMessage: t.field({
    type: Message,
    description:
      'Changes the text of a message that you sent. Publishes `MessageUpdated`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, RATE_LIMITED.',
    args: {
      messageId: t.arg.id({ required: true, description: messageIdDescription }),
      text: t.arg.string({
        required: true,
        description:
          'The new text, at most 8192 characters. Must contain a visible character unless the message has files.',
      }),
    },
    resolve: (_root, args, context) =>
      messages.updateMessage(context.deps, requireActor(context), {
        messageId: requireId('Message', 'messageId', args.messageId),
        text: args.text,
      }),
  }),
  deleteMessage: t.field({
    type: Message,
    description:
      'Deletes a message that you sent, with its files. Publishes `MessageDeleted`. Returns the message as it was, without files. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { messageId: t.arg.id({ required: true, description: messageIdDescription }) },
    resolve: (_root, args, context) =>
      messages.deleteMessage(context.deps, requireActor(context), {
        messageId: requireId('Message', 'messageId', args.messageId),
      }),
  }),
  setTyping: t.boolean({
    description:
      'Publishes your typing status to the `typing` subscriptions of a conversation. Not persisted; expires after 15 s, so repeat it while typing. Returns true. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, RATE_LIMITED.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      isTyping: t.arg.boolean({ required: true, description: 'Whether you are typing.' }),
    },
    resolve: async (_root, args, context) => {
      await setTyping(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        isTyping: args.isTyping,
      });
      return true;
    },
  }),
}));
