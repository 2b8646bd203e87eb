import type { UserId } from '../ids.ts';
import { present } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import { Conversation, ConversationRole, Participant, User } from './refs.ts';
import type { UserSource } from './refs.ts';

const requireUser = async (id: UserId, loaders: Loaders): Promise<UserSource> =>
  present('User', await loaders.user(id));

Participant.implement({
  description: 'That a user takes part in a conversation, and as what.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Its number, which Socket.IO clients know as `link_id`.' }),
    conversation: t.field({
      type: Conversation,
      description: 'The conversation.',
      resolve: async ({ conversation, conversationId }, _args, { loaders }) =>
        conversation ?? present('Conversation', await loaders.conversation(conversationId)),
    }),
    user: t.field({
      type: User,
      description: 'Who takes part.',
      resolve: ({ user, userId }, _args, { loaders }) => user ?? requireUser(userId, loaders),
    }),
    role: t.expose('role', { type: ConversationRole, description: 'What they are in it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When they joined.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When their role last changed.' }),
  }),
});
