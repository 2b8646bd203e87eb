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
    'A conversation of some members of a circle, and of its device if it has access. Callers who do not participate, such as former participants, see its name and times; its lists are empty for them.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id: `conversation_id` of Socket.IO clients.',
    }),
    name: t.exposeString('name', { description: 'Name of the conversation.' }),
    deviceAccess: t.exposeBoolean('deviceAccess', { description: 'Whether the circle’s device has access.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change of the name or the device access.',
    }),
    eventCursor: t.field({
      type: 'Cursor',
      // What stands beside it is read again, as far as the caller may.
      ...perActor,
      description:
        'Cursor to subscribe to `conversationEvents` after, for every later event. Read in the same snapshot as all fields selected with it, also in the result of a mutation and in an event.',
      resolve: async ({ id }, _args, { loaders }) =>
        present('Conversation', await loaders.eventCursor(conversationTopic(id))),
    }),
    myRole: t.field({
      type: ConversationRole,
      nullable: true,
      ...perActor,
      description: 'The caller’s role; null for a device and for a user who does not participate.',
      resolve: async ({ id }, _args, { loaders, session }) => {
        if (session?.actor.kind !== 'user') return null;
        const participants = (await loaders.participantsOf(id)) ?? [];
        return participants.find(({ userId }) => userId === session.actor.id)?.role;
      },
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The circle of the conversation; null if it has been deleted.',
      resolve: ({ circleId }, _args, { loaders }) => loaders.circle(circleId),
    }),
    participants: t.connection(
      {
        type: Participant,
        ...perActor,
        description:
          'The participants, in the order of joining. The device is not among them: see `deviceAccess`.',
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
          'The messages, oldest first. Without `first` and `last`: the newest 20. For earlier pages, pass `last` and the `startCursor` of the current page as `before`.',
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

const conversationId = 'Global id of a conversation. NOT_FOUND unless the caller participates in it.';
const name = 'Name, 1 to 120 characters, at least one visible. Surrounding whitespace is trimmed.';
const participantEmail = 'E-mail address of a participant. NOT_FOUND if no participant has it.';

builder.queryFields((t) => ({
  conversation: t.field({
    type: Conversation,
    nullable: true,
    description: 'A conversation that the caller participates in. Errors: NOT_FOUND.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
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
      'Creates a conversation in a circle with the caller as ADMIN. The named users join immediately and receive `ConversationInvited` in `inboxEvents`. Users only. Errors: NOT_FOUND, FORBIDDEN, INVALID_INPUT.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of a circle. NOT_FOUND unless the caller belongs to it.',
      }),
      name: t.arg.string({ required: true, description: name }),
      emails: t.arg.stringList({
        description:
          'E-mail addresses of the other participants, at most 500. NOT_FOUND unless all are members of the circle.',
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
    description:
      'Renames a conversation. ADMIN only. Publishes `ConversationUpdated`. Errors: NOT_FOUND, FORBIDDEN, INVALID_INPUT.',
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
      'Adds a member of the circle to a conversation. Participants only. Publishes `ParticipantJoined`, and `ConversationInvited` in the inbox of the user. CONFLICT if the user participates already. Errors: NOT_FOUND, CONFLICT, FORBIDDEN.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of a member of the circle. NOT_FOUND if no member has it.',
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
      'Leaves a conversation. If no ADMIN remains, the oldest participant becomes ADMIN; a conversation with fewer than two left, the device included, is deleted. Users only. Returns the conversation as it was before. Errors: NOT_FOUND, FORBIDDEN.',
    args: { conversationId: t.arg.id({ required: true, description: conversationId }) },
    resolve: (_root, args, context) =>
      conversations.leaveConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
      }),
  }),
  kickFromConversation: t.field({
    type: Conversation,
    description:
      'Removes a participant and ends the participant’s streams of the conversation. A conversation with fewer than two left, the device included, is deleted. ADMIN only; `leaveConversation` removes the caller. Errors: NOT_FOUND, FORBIDDEN.',
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
      'Transfers the ADMIN role to another participant; the caller becomes STANDARD. ADMIN only. Publishes `ParticipantPromoted`, and `Promoted` in the inbox of the participant. Errors: NOT_FOUND, CONFLICT, FORBIDDEN.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      email: t.arg.string({
        required: true,
        description: `${participantEmail} CONFLICT if it is the caller’s.`,
      }),
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
      'Grants or revokes the access of the circle’s device; revoking ends the device’s streams of the conversation. ADMIN only; the device may revoke its own access. Publishes `DeviceAccessChanged` if the access changes. Errors: NOT_FOUND, FORBIDDEN.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationId }),
      allowed: t.arg.boolean({ required: true, description: 'Whether the device has access.' }),
    },
    resolve: (_root, args, context) =>
      conversations.setDeviceAccess(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        allowed: args.allowed,
      }),
  }),
}));
