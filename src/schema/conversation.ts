import * as conversations from '../domain/conversations.ts';
import type { Message as MessageRow, Participant as ParticipantRow } from '../domain/models.ts';
import { conversationTopic } from '../events/event.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { connectionFromPage, emptyConnection, connectionFromArray, parsePage } from './pagination.ts';
import type { Context } from './context.ts';
import { requireActor } from './context.ts';
import { requireFound, requireId } from './global-id.ts';
import { loadAuthor } from './loaders.ts';
import type { Loaders } from './loaders.ts';
import {
  Circle,
  Conversation,
  ConversationRole,
  Message,
  MessageConnection,
  Participant,
  ParticipantConnection,
  User,
} from './refs.ts';
import type { ConversationSource, MessageSource, ParticipantSource, UserSource } from './refs.ts';
import { selects } from './selected-fields.ts';

/**
 * Whether the caller takes part in the conversation. The result of `leaveConversation` and older inbox events show a
 * conversation to callers without access.
 */
async function hasAccess(conversation: ConversationSource, { loaders }: Context): Promise<boolean> {
  if (conversation.hasAccess === true) return true;
  const own = (await loaders.ownConversationsOf(conversation.circleId)) ?? [];
  return own.some(({ id }) => id === conversation.id);
}

const loadUsers = (
  participants: readonly ParticipantRow[],
  { loaders }: Context,
): Promise<readonly (UserSource | undefined)[]> =>
  Promise.all(participants.map(({ userId }) => loaders.user(userId)));

/** Attaches the authors to the messages. One load per author: awaiting a promise per message costs more than the rest. */
async function withAuthors(messages: readonly MessageRow[], { loaders }: Context): Promise<MessageSource[]> {
  const firstByAuthor = new Map(messages.map((message) => [authorKey(message), message]));
  const load = async ([key, message]: readonly [string, MessageRow]) =>
    [key, (await loadAuthor(message, loaders)) ?? null] as const;
  const authors = new Map(await Promise.all(Array.from(firstByAuthor, load)));
  return messages.map((message) => ({ ...message, author: authors.get(authorKey(message)) ?? null }));
}

const authorKey = ({ authorUserId, authorDeviceId }: MessageRow): string =>
  authorUserId === null ? `device:${authorDeviceId}` : `user:${authorUserId}`;

Conversation.implement({
  description:
    'A conversation among members of a circle and, if given access, the circle’s device. To former participants its lists are empty.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id. Socket.IO clients receive it as `conversation_id`.',
    }),
    name: t.exposeString('name', { description: 'The conversation’s name.' }),
    deviceAccess: t.exposeBoolean('deviceAccess', { description: 'Whether the circle’s device has access.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change of the name, the device’s access or `readReceipts`.',
    }),
    eventCursor: t.field({
      type: 'Cursor',
      // The data beside it is reread with the caller's permissions: see snapshot-reads.ts.
      ...perActor,
      description:
        'Cursor for `conversationEvents`: subscribing after it delivers every event that this response does not reflect yet. Consistent with all data selected beside it, in queries, mutation results and events alike.',
      resolve: async ({ id }, _args, { loaders }) =>
        requireFound('Conversation', await loaders.eventCursor(conversationTopic(id))),
    }),
    myRole: t.field({
      type: ConversationRole,
      nullable: true,
      ...perActor,
      description: 'Your role in the conversation; null for a device and for non-participants.',
      resolve: async ({ id }, _args, { loaders, session }) => {
        if (session?.actor.kind !== 'user') return null;
        const participants = (await loaders.participantsOf(id)) ?? [];
        return participants.find(({ userId }) => userId === session.actor.id)?.role;
      },
    }),
    circle: t.field({
      type: Circle,
      nullable: true,
      description: 'The conversation’s circle; null if it has been deleted.',
      resolve: ({ circleId }, _args, { loaders }) => loaders.circle(circleId),
    }),
    participants: t.connection(
      {
        type: Participant,
        ...perActor,
        description:
          'The users who take part, in order of joining. Does not include the device: see `deviceAccess`.',
        resolve: async (conversation, args, context, info) => {
          if (!(await hasAccess(conversation, context))) return emptyConnection<ParticipantSource>();
          const participants = (await context.loaders.participantsOf(conversation.id)) ?? [];
          const users = selects(info, 'user') ? await loadUsers(participants, context) : [];
          return connectionFromArray<ParticipantSource>(
            'Participant',
            participants.map((participant, index) => ({ ...participant, conversation, user: users[index] })),
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
          'The conversation’s messages, oldest first. Without `first` and `last`: the newest 20. To page backwards, pass `last`, and the `startCursor` of the previous page as `before`.',
        resolve: async (conversation, args, context, info) => {
          const page = parsePage('Message', args, true);
          if (!(await hasAccess(conversation, context))) return emptyConnection<MessageSource>();
          // One row beyond the page size shows whether a further page exists.
          const rows = (await context.loaders.messages({ conversationId: conversation.id, page })) ?? [];
          const pageRows = rows.slice(0, page.size);
          const hasMore = rows.length > page.size;
          const messages = selects(info, 'author') ? await withAuthors(pageRows, context) : pageRows;
          return connectionFromPage<MessageSource>(
            'Message',
            page.fromEnd ? messages.toReversed() : messages,
            {
              hasPreviousPage: page.fromEnd ? hasMore : page.after !== undefined,
              hasNextPage: page.fromEnd ? page.before !== undefined : hasMore,
            },
          );
        },
      },
      MessageConnection,
    ),
  }),
});

const requireUser = async (id: UserId, loaders: Loaders): Promise<UserSource> =>
  requireFound('User', await loaders.user(id));

Participant.implement({
  description: 'The participation of a user in a conversation.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id. Socket.IO clients receive it as `link_id`.' }),
    conversation: t.field({
      type: Conversation,
      description: 'The conversation.',
      resolve: async ({ conversation, conversationId }, _args, { loaders }) =>
        conversation ?? requireFound('Conversation', await loaders.conversation(conversationId)),
    }),
    user: t.field({
      type: User,
      description: 'The user who takes part.',
      resolve: ({ user, userId }, _args, { loaders }) => user ?? requireUser(userId, loaders),
    }),
    role: t.expose('role', { type: ConversationRole, description: 'The participant’s role.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Time of joining.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last role change.' }),
  }),
});

const conversationIdDescription = 'Global id of the conversation. NOT_FOUND unless you take part in it.';
const nameDescription =
  'Name, 1 to 120 characters, at least one of them visible. Surrounding whitespace is removed.';
const participantEmailDescription = 'E-mail address of the participant. NOT_FOUND if no participant has it.';

builder.queryFields((t) => ({
  conversation: t.field({
    type: Conversation,
    nullable: true,
    description: 'A conversation in which you take part. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT.',
    args: { id: t.arg.id({ required: true, description: 'Global id of the conversation.' }) },
    resolve(_root, { id }, context) {
      const [actor, conversationId] = [requireActor(context), requireId('Conversation', 'id', id)];
      return context.loaders.share(id, () =>
        conversations.requireConversation(context.deps, actor, conversationId),
      );
    },
  }),
}));

builder.mutationFields((t) => ({
  createConversation: t.field({
    type: Conversation,
    description:
      'Creates a conversation in a circle, with you as ADMIN. The users in `emails` take part immediately and receive `ConversationInvited` in their inbox. FORBIDDEN for devices. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of the circle. NOT_FOUND unless you belong to it.',
      }),
      name: t.arg.string({ required: true, description: nameDescription }),
      emails: t.arg.stringList({
        description:
          'E-mail addresses of the other participants, at most 500. NOT_FOUND unless all are members of the circle.',
      }),
      readReceipts: t.arg.boolean({
        description:
          'Whether participants see how far the others have read: see `setReadReceipts`. Default: false.',
      }),
    },
    resolve: (_root, args, context) =>
      conversations.createConversation(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
        name: args.name,
        emails: args.emails ?? [],
        readReceipts: args.readReceipts ?? false,
      }),
  }),
  updateConversation: t.field({
    type: Conversation,
    description:
      'Renames a conversation. Allowed for its ADMIN. Publishes `ConversationUpdated`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      name: t.arg.string({ required: true, description: nameDescription }),
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
      'Adds a member of the circle to a conversation. Allowed for its participants, not for the device. Publishes `ConversationInvited` in the user’s inbox and `ParticipantJoined` in the conversation. CONFLICT if the user already takes part. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CONFLICT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the user. NOT_FOUND unless a member of the circle has it.',
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
      'Leaves a conversation. If no ADMIN remains, the participant who joined first becomes ADMIN; if fewer than two remain, including the device, the conversation is deleted. Returns the conversation as it was. FORBIDDEN for devices. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { conversationId: t.arg.id({ required: true, description: conversationIdDescription }) },
    resolve: (_root, args, context) =>
      conversations.leaveConversation(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
      }),
  }),
  kickFromConversation: t.field({
    type: Conversation,
    description:
      'Removes a participant from a conversation and ends their streams there. If fewer than two remain, including the device, the conversation is deleted. Allowed for its ADMIN; to leave yourself, use `leaveConversation`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      email: t.arg.string({ required: true, description: participantEmailDescription }),
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
      'Transfers your role of ADMIN to another participant; you become STANDARD. Allowed for its ADMIN. Publishes `Promoted` in the participant’s inbox and `ParticipantPromoted` in the conversation. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CONFLICT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      email: t.arg.string({
        required: true,
        description: `${participantEmailDescription} CONFLICT if it is your own.`,
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
      'Grants or removes the access of the circle’s device to a conversation; removal ends its streams there. Allowed for the ADMIN; the device may remove its own access. Publishes `DeviceAccessChanged` if anything changes. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      allowed: t.arg.boolean({ required: true, description: 'Whether the device is to have access.' }),
    },
    resolve: (_root, args, context) =>
      conversations.setDeviceAccess(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        allowed: args.allowed,
      }),
  }),
}));
