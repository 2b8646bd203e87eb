import { present } from './global-id.ts';
import { Circle, CircleMembership, CircleRole, User } from './refs.ts';

CircleMembership.implement({
  description: 'That a user belongs to a circle, and as what.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Its number.' }),
    circle: t.field({
      type: Circle,
      description: 'The circle.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? present('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      description: 'Who belongs to it.',
      resolve: async ({ userId }, _args, { loaders }) => present('User', await loaders.user(userId)),
    }),
    role: t.expose('role', { type: CircleRole, description: 'What they are in it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When they joined.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When their role last changed.' }),
  }),
});
