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
    legacyId: t.exposeInt('id', { description: 'Its number, which Socket.IO clients know as `message_id`.' }),
    conversation: t.field({
      type: Conversation,
      nullable: true,
      description: 'The conversation that it was sent to; null when that was deleted meanwhile.',
      resolve: ({ conversationId }, _args, { loaders }) => loaders.conversation(conversationId),
    }),
    author: t.field({
      type: Actor,
      nullable: true,
      description:
        'Who sent it; null when that account is gone. In an event it is who it was at that moment.',
      resolve: (message, _args, context) => authorOf(message, context),
    }),
    participant: t.field({
      type: Participant,
      nullable: true,
      description:
        'As what participant a user sent it; null for a device, and for one who does not take part any more.',
      resolve: ({ participantId }, _args, { loaders }) =>
        participantId === null ? null : loaders.participant(participantId),
    }),
    text: t.string({
      complexity: LONG_TEXT,
      description:
        'What it says; empty when it only brings files. LIMIT_EXCEEDED when one operation asks for more text than 4,000,000 characters.',
      resolve({ text }, _args, context) {
        context.textLength += text.length;
        if (context.textLength <= MAX_TEXT) return text;
        throw new DomainError('LIMIT_EXCEEDED', `An answer holds at most ${MAX_TEXT} characters of text.`, {
          limit: `text ${MAX_TEXT}`,
        });
      },
    }),
    status: t.expose('status', { type: MessageStatus, description: 'Whether all its files have arrived.' }),
    sentAt: t.expose('sentAt', { type: 'DateTime', description: 'When it was sent.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When its text last changed, or a file arrived.',
    }),
    mediaCount: t.exposeInt('mediaCount', { description: 'How many files it has.' }),
    media: t.field({
      type: [Media],
      description:
        'Its files, also those that have not arrived yet, in the order in which they were announced.',
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
    description: 'A message that was sent, and where its files go.',
    fields: (t) => ({
      message: t.expose('message', {
        type: Message,
        description: 'The message, PENDING while files are missing.',
      }),
      media: t.expose('media', {
        type: [Media],
        description:
          'One for each of `files`, in that order: upload each with `uploadMedia`, or POST it to `/media/upload/<legacyId>`.',
      }),
    }),
  });

const conversationId = 'The conversation. NOT_FOUND unless you take part in it.';
const messageId =
  'The message. NOT_FOUND when you may not read it, FORBIDDEN unless you wrote it and still take part.';

builder.queryFields((t) => ({
  message: t.field({
    type: Message,
    nullable: true,
    description: 'A message of a conversation in which you take part; NOT_FOUND for any other.',
    args: { id: t.arg.id({ required: true, description: 'Its global id.' }) },
    resolve: (_root, { id }, context) =>
      messages.requireMessage(context.deps, requireActor(context), requireId('Message', 'id', id)),
  }),
}));

builder.mutationFields((t) => ({
  sendMessage: t.field({
    type: SendMessagePayload,
    description:
      'Sends a message. When this answers, the message and its event are stored, and nothing acknowledged is lost. Its readers get `MessageSent`, you too. RATE_LIMITED when there are too many at once.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      text: t.arg.string({
        description:
          'Its text, at most 8192 characters. Errors: INVALID_INPUT for a text in which nothing is visible, unless there are `files`.',
      }),
      files: t.arg.stringList({
        description:
          'A name for each file that is to come with it: at most 20, of at most 1024 characters. They are uploaded afterwards.',
      }),
      idempotencyKey: t.arg.string({
        description:
          'Text of yours that names this one message, 1 to 200 characters. Sending again with the same key sends nothing and answers the first message again, so a send whose answer was lost can be repeated. CONFLICT when that message was sent to another conversation or is deleted.',
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
    description: 'Changes the text of a message that you wrote. Its readers get `MessageUpdated`.',
    args: {
      messageId: t.arg.id({ required: true, description: messageId }),
      text: t.arg.string({
        required: true,
        description:
          'Its new text, at most 8192 characters. Errors: INVALID_INPUT for a text in which nothing is visible, unless the message has files.',
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
      'Deletes a message that you wrote, with its files. Its readers get `MessageDeleted`. Answers the message as it was, without files.',
    args: { messageId: t.arg.id({ required: true, description: messageId }) },
    resolve: (_root, args, context) =>
      messages.deleteMessage(context.deps, requireActor(context), {
        messageId: requireId('Message', 'messageId', args.messageId),
      }),
  }),
  setTyping: t.boolean({
    description:
      'Tells the readers of `typing` that you are typing, or have stopped. Nothing is kept of it. Repeat it every few seconds while it lasts. Answers true.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
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
