import * as conversations from '../domain/conversations.ts';
import type { Message as MessageRow, Participant as ParticipantRow } from '../domain/models.ts';
import { conversationTopic } from '../events/event.ts';
import { builder, perActor } from './builder.ts';
import { connectionOf, emptyPage, pageOf, parsePage } from './pagination.ts';
import type { Context } from './context.ts';
import { requireActor } from './context.ts';
import { present, requireId } from './global-id.ts';
import { loadAuthor } from './loaders.ts';
import { selects } from './selected-fields.ts';
import {
  Circle,
  Conversation,
  ConversationRole,
  Message,
  MessageConnection,
  Participant,
  ParticipantConnection,
} from './refs.ts';
import type { ConversationSource, MessageSource, ParticipantSource, UserSource } from './refs.ts';

/** Whether the caller takes part: a conversation may also be shown to one who has just left it, or was invited once. */
async function isMine({ id, circleId, isMine }: ConversationSource, { loaders }: Context): Promise<boolean> {
  if (isMine === true) return true;
  const mine = (await loaders.ownConversationsOf(circleId)) ?? [];
  return mine.some((conversation) => conversation.id === id);
}

const usersOf = (
  participants: readonly ParticipantRow[],
  { loaders }: Context,
): Promise<readonly (UserSource | undefined)[]> =>
  Promise.all(participants.map(({ userId }) => loaders.user(userId)));

/** Each message with its author, asked for once: to wait at each of many messages takes longer than to show them. */
async function withAuthors(messages: readonly MessageRow[], { loaders }: Context): Promise<MessageSource[]> {
  const firsts = new Map(messages.map((message) => [authorKey(message), message]));
  const load = async ([key, message]: readonly [string, MessageRow]) =>
    [key, (await loadAuthor(message, loaders)) ?? null] as const;
  const authors = new Map(await Promise.all(Array.from(firsts, load)));
  return messages.map((message) => ({ ...message, author: authors.get(authorKey(message)) ?? null }));
}

const authorKey = ({ authorUserId, authorDeviceId }: MessageRow): string =>
  authorUserId === null ? `device:${authorDeviceId}` : `user:${authorUserId}`;

Conversation.implement({
  description:
    'A conversation among some members of a circle, and its device if that is given access. Who does not take part any more, as one who has left, sees its name and dates; its lists are empty then.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Its number, which Socket.IO clients know as `conversation_id`.',
    }),
    name: t.exposeString('name', { description: 'What its participants call it.' }),
    deviceAccess: t.exposeBoolean('deviceAccess', { description: 'Whether the circle’s device takes part.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When its name or the device’s access last changed.',
    }),
    eventCursor: t.field({
      type: 'Cursor',
      // What stands beside it is read again, as far as the caller may.
      ...perActor,
      description:
        'Subscribe to `conversationEvents` after it to get all that happens next. It is read in the same snapshot as all that is selected with it, also in what a mutation answers or an event brings.',
      resolve: async ({ id }, _args, { loaders }) =>
        present('Conversation', await loaders.eventCursor(conversationTopic(id))),
    }),
    myRole: t.field({
      type: ConversationRole,
      nullable: true,
      ...perActor,
      description: 'What you are in it; null for a device, and for one who does not take part.',
      resolve: async ({ id }, _args, { loaders, session }) => {
        if (session?.actor.kind !== 'user') return null;
        const participants = (await loaders.participantsOf(id)) ?? [];
        return participants.find(({ userId }) => userId === session.actor.id)?.role;
      },
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The circle that it belongs to; null when that was deleted meanwhile.',
      resolve: ({ circleId }, _args, { loaders }) => loaders.circle(circleId),
    }),
    participants: t.connection(
      {
        type: Participant,
        ...perActor,
        description:
          'The users who take part, in the order of joining. The device is not among them: see `deviceAccess`.',
        resolve: async (conversation, args, context, info) => {
          if (!(await isMine(conversation, context))) return emptyPage<ParticipantSource>();
          const participants = (await context.loaders.participantsOf(conversation.id)) ?? [];
          const users = selects(info, 'user') ? await usersOf(participants, context) : [];
          return pageOf<ParticipantSource>(
            'Participant',
            participants.map((one, index) => ({ ...one, conversation, user: users[index] })),
            args,
          );
        },
      },
      ParticipantConnection,
    ),
    messages: t.connection(
      {
        type: Message,
        ...perActor,
        description:
          'Its messages, oldest first. Without `first` or `last` the newest 20; to go back from there, give `last` and, as `before`, the `startCursor` of what you have.',
        resolve: async (conversation, args, context, info) => {
          const page = parsePage('Message', args, true);
          if (!(await isMine(conversation, context))) return emptyPage<MessageSource>();
          const read = (await context.loaders.messages({ conversationId: conversation.id, page })) ?? [];
          const shown = read.slice(0, page.size);
          const isCut = read.length > page.size;
          const messages = selects(info, 'author') ? await withAuthors(shown, context) : shown;
          return connectionOf<MessageSource>('Message', page.fromEnd ? messages.toReversed() : messages, {
            hasPreviousPage: page.fromEnd ? isCut : page.after !== undefined,
            hasNextPage: page.fromEnd ? page.before !== undefined : isCut,
          });
        },
      },
      MessageConnection,
    ),
  }),
});

const conversationId = 'The conversation. NOT_FOUND unless you take part in it.';
const name = 'Its name, 1 to 120 characters, at least one of them visible. Blanks around it are left out.';
const participantEmail = 'E-mail address of a participant. NOT_FOUND when there is no such participant.';

builder.queryFields((t) => ({
  conversation: t.field({
    type: Conversation,
    nullable: true,
    description: 'A conversation in which you take part; NOT_FOUND for any other.',
    args: { id: t.arg.id({ required: true, description: 'Its global id.' }) },
    resolve: (_root, { id }, context) =>
      conversations.requireConversation(
        context.deps,
        requireActor(context),
        requireId('Conversation', 'id', id),
      ),
  }),
}));

builder.mutationFields((t) => ({
  createConversation: t.field({
    type: Conversation,
    description:
      'Creates a conversation in a circle, with you as ADMIN. Whoever is named takes part at once and gets `ConversationInvited` in their inbox. FORBIDDEN for devices.',
    args: {
      circleId: t.arg.id({ required: true, description: 'The circle. NOT_FOUND unless you belong to it.' }),
      name: t.arg.string({ required: true, description: name }),
      emails: t.arg.stringList({
        description:
          'E-mail addresses of the other participants, if any, at most 500. NOT_FOUND unless all are of members of the circle.',
      }),
    },
    resolve: (_root, args, context) =>
      conversations.createConversation(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
        name: args.name,
        emails: args.emails ?? [],
      }),
  }),
  updateConversation: t.field({
    type: Conversation,
    description: 'Renames a conversation. Only for its ADMIN. Its readers get `ConversationUpdated`.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      name: t.arg.string({ required: true, description: name }),
    },
    resolve: (_root, args, context) =>
      conversations.updateConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        name: args.name,
      }),
  }),
  inviteToConversation: t.field({
    type: Conversation,
    description:
      'Adds a member of the circle to a conversation; any participant may. They get `ConversationInvited` in their inbox, its readers `ParticipantJoined`. CONFLICT when they take part already, FORBIDDEN for devices.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of a member of the circle. NOT_FOUND otherwise.',
      }),
    },
    resolve: (_root, args, context) =>
      conversations.inviteToConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        email: args.email,
      }),
  }),
  leaveConversation: t.field({
    type: Conversation,
    description:
      'Leaves a conversation. The oldest participant becomes ADMIN when none is left; a conversation with fewer than two left, the device counted, is deleted. Answers the conversation as it was. FORBIDDEN for devices.',
    args: { conversationId: t.arg.id({ required: true, description: conversationId }) },
    resolve: (_root, args, context) =>
      conversations.leaveConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
      }),
  }),
  kickFromConversation: t.field({
    type: Conversation,
    description:
      'Removes a participant; every stream that they have open there ends. A conversation with fewer than two left, the device counted, is deleted. Only for its ADMIN; to go yourself, use `leaveConversation`.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      email: t.arg.string({ required: true, description: participantEmail }),
    },
    resolve: (_root, args, context) =>
      conversations.kickFromConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        email: args.email,
      }),
  }),
  promoteInConversation: t.field({
    type: Conversation,
    description:
      'Hands your role of ADMIN over to another participant: you become STANDARD. They get `Promoted` in their inbox, its readers `ParticipantPromoted`. Only for its ADMIN.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      email: t.arg.string({ required: true, description: `${participantEmail} CONFLICT when it is yours.` }),
    },
    resolve: (_root, args, context) =>
      conversations.promoteInConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        email: args.email,
      }),
  }),
  setDeviceAccess: t.field({
    type: Conversation,
    description:
      'Lets the circle’s device take part in a conversation, or no longer: its streams there end. Only for the ADMIN; the device itself may only give up its access. Readers get `DeviceAccessChanged`, unless nothing changes.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      allowed: t.arg.boolean({ required: true, description: 'Whether it may.' }),
    },
    resolve: (_root, args, context) =>
      conversations.setDeviceAccess(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        allowed: args.allowed,
      }),
  }),
}));
