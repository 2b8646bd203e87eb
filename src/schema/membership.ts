import { present } from './global-id.ts';
import { Circle, CircleMembership, CircleRole, User } from './refs.ts';

CircleMembership.implement({
  description: 'The membership of a user in a circle.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id, as used by Socket.IO clients.' }),
    circle: t.field({
      type: Circle,
      description: 'The circle.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? present('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      description: 'The member.',
      resolve: async ({ userId }, _args, { loaders }) => present('User', await loaders.user(userId)),
    }),
    role: t.expose('role', { type: CircleRole, description: 'The member’s role.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Time of joining.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last role change.' }),
  }),
});
