import * as messages from '../domain/messages.ts';
import { setTyping } from '../domain/typing.ts';
import { DomainError } from '../errors.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { LONG_TEXT, MAX_TEXT } from './complexity.ts';
import { loadAuthor } from './loaders.ts';
import { Actor, Conversation, Media, Message, MessageStatus, Participant, actorSource } from './refs.ts';
import type { MediaSource, MessageSource } from './refs.ts';

Message.implement({
  description: 'A message in a conversation.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id: `message_id` of Socket.IO clients.' }),
    conversation: t.field({
      type: Conversation,
      nullable: true,
      description: 'The conversation of the message; null if it has been deleted.',
      resolve: ({ conversationId }, _args, { loaders }) => loaders.conversation(conversationId),
    }),
    author: t.field({
      type: Actor,
      nullable: true,
      description:
        'The sender; null if that account has been deleted. In an event: the sender at the time of the event.',
      resolve: (message, _args, context) => authorOf(message, context),
    }),
    participant: t.field({
      type: Participant,
      nullable: true,
      description: 'The sender’s participant record; null for a device and for a former participant.',
      resolve: ({ participantId }, _args, { loaders }) =>
        participantId === null ? null : loaders.participant(participantId),
    }),
    text: t.string({
      complexity: LONG_TEXT,
      description:
        'Text of the message; may be empty if it has files. LIMIT_EXCEEDED if one response would hold more than 4,000,000 characters of text.',
      resolve({ text }, _args, context) {
        context.textLength += text.length;
        if (context.textLength <= MAX_TEXT) return text;
        throw new DomainError(
          'LIMIT_EXCEEDED',
          `A response holds at most ${MAX_TEXT} characters of message text.`,
          {
            limit: `text ${MAX_TEXT}`,
          },
        );
      },
    }),
    status: t.expose('status', { type: MessageStatus, description: 'Upload state of the message’s files.' }),
    sentAt: t.expose('sentAt', { type: 'DateTime', description: 'Time of sending.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change of the text, or of the last upload.',
    }),
    mediaCount: t.exposeInt('mediaCount', { description: 'Number of files.' }),
    media: t.field({
      type: [Media],
      description: 'The files, including those not uploaded yet, in the order of `files` of `sendMessage`.',
      resolve: (message, _args, context) => mediaOf(message, context),
    }),
  }),
});

/** An event and a page bring it along: to show it, nothing is read and nothing waited for. */
const authorOf = (message: MessageSource, { loaders }: Context) =>
  message.author === undefined ? loadAuthor(message, loaders) : message.author;

const mediaOf = (
  message: MessageSource,
  context: Context,
): readonly MediaSource[] | Promise<readonly MediaSource[]> =>
  message.media?.map((media) => ({ ...media, message })) ?? loadMedia(message, context);

async function loadMedia(message: MessageSource, { loaders }: Context): Promise<readonly MediaSource[]> {
  const media = (message.mediaCount > 0 && (await loaders.mediaOf(message.id))) || [];
  return media.map((one) => ({ ...one, message }));
}

const SendMessagePayload = builder
  .objectRef<{ message: MessageSource; media: readonly MediaSource[] }>('SendMessagePayload')
  .implement({
    description: 'The sent message and its media.',
    fields: (t) => ({
      message: t.expose('message', {
        type: Message,
        description: 'The message; PENDING until all files are uploaded.',
      }),
      media: t.expose('media', {
        type: [Media],
        description:
          'One media for each of `files`, in that order. Upload each with `uploadMedia`, or POST it to `/media/upload/<legacyId>`.',
      }),
    }),
  });

const conversationId = 'Global id of a conversation. NOT_FOUND unless the caller participates in it.';
const messageId =
  'Global id of a message. NOT_FOUND if the caller may not read it, FORBIDDEN unless the caller is its author and still participates.';

builder.queryFields((t) => ({
  message: t.field({
    type: Message,
    nullable: true,
    description: 'A message of a conversation that the caller participates in. Errors: NOT_FOUND.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_root, { id }, context) =>
      messages.requireMessage(context.deps, requireActor(context), requireId('Message', 'id', id)),
  }),
}));

builder.mutationFields((t) => ({
  sendMessage: t.field({
    type: SendMessagePayload,
    description:
      'Sends a message. The message and its event are durable when this returns. Publishes `MessageSent`, to the sender too. Errors: NOT_FOUND, CONFLICT, RATE_LIMITED, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      text: t.arg.string({
        description:
          'Text, at most 8192 characters. INVALID_INPUT if nothing in it is visible, unless there are `files`.',
      }),
      files: t.arg.stringList({
        description:
          'Identifiers of the files to upload afterwards: at most 20, each of at most 1024 characters.',
      }),
      idempotencyKey: t.arg.string({
        description:
          'Idempotency key, 1 to 200 characters. A second send with the same key sends nothing and returns the first message, so that a client can retry after a lost response. CONFLICT if that message is in another conversation or deleted.',
      }),
    },
    resolve: (_root, args, context) =>
      messages
        .sendMessage(context.deps, requireActor(context), {
          ...args,
          refuseBlank: !context.legacy,
          conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        })
        .then(({ message, author, media }) => ({
          message: { ...message, author: actorSource(author), media },
          media,
        })),
  }),
  updateMessage: t.field({
    type: Message,
    description:
      'Changes the text of a message. Its author only. Publishes `MessageUpdated`. Errors: NOT_FOUND, FORBIDDEN, RATE_LIMITED, INVALID_INPUT.',
    args: {
      messageId: t.arg.id({ required: true, description: messageId }),
      text: t.arg.string({
        required: true,
        description:
          'New text, at most 8192 characters. INVALID_INPUT if nothing in it is visible, unless the message has files.',
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
      'Deletes a message with its files. Its author only. Publishes `MessageDeleted`. Returns the deleted message, without files. Errors: NOT_FOUND, FORBIDDEN.',
    args: { messageId: t.arg.id({ required: true, description: messageId }) },
    resolve: (_root, args, context) =>
      messages.deleteMessage(context.deps, requireActor(context), {
        messageId: requireId('Message', 'messageId', args.messageId),
      }),
  }),
  setTyping: t.boolean({
    description:
      'Publishes the caller’s typing state to the subscribers of `typing`; ephemeral. Repeat it every few seconds while typing. Returns true. Errors: NOT_FOUND, RATE_LIMITED.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      isTyping: t.arg.boolean({ required: true, description: 'Whether the caller is typing.' }),
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
