import type { UserId } from '../ids.ts';
import { present } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import { Conversation, ConversationRole, Participant, User } from './refs.ts';
import type { UserSource } from './refs.ts';

const requireUser = async (id: UserId, loaders: Loaders): Promise<UserSource> =>
  present('User', await loaders.user(id));

Participant.implement({
  description: 'The participation of a user in a conversation.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id: `link_id` of Socket.IO clients.' }),
    conversation: t.field({
      type: Conversation,
      description: 'The conversation.',
      resolve: async ({ conversation, conversationId }, _args, { loaders }) =>
        conversation ?? present('Conversation', await loaders.conversation(conversationId)),
    }),
    user: t.field({
      type: User,
      description: 'The participating user.',
      resolve: ({ user, userId }, _args, { loaders }) => user ?? requireUser(userId, loaders),
    }),
    role: t.expose('role', { type: ConversationRole, description: 'The member’s role.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Time of joining.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last role change.' }),
  }),
});
