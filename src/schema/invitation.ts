import * as circles from '../domain/circles.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import { present, requireId } from './global-id.ts';
import { Circle, CircleInvitation, User } from './types.ts';

CircleInvitation.implement({
  description: 'That a user may join a circle. It is gone once they accept or decline.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Its number, which Socket.IO clients know as `circle_invite_id`.',
    }),
    circle: t.field({
      type: Circle,
      description: 'The circle. Who is invited sees its name and dates; its lists are empty until they join.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? present('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      description: 'Who is invited.',
      resolve: async ({ userId }, _args, { loaders }) => present('User', await loaders.user(userId)),
    }),
    invitedBy: t.field({
      type: User,
      nullable: true,
      description: 'The member who invites; null when that account is gone.',
      resolve: ({ invitedById }, _args, { loaders }) =>
        invitedById === null ? null : loaders.user(invitedById),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

const invitationId = 'The invitation. NOT_FOUND unless it is for you and not answered yet.';

builder.mutationFields((t) => ({
  inviteToCircle: t.field({
    type: CircleInvitation,
    description:
      'Invites a user to a circle; any of its members may. They get `CircleInvited` in their inbox. CONFLICT when they belong to it or are invited already.',
    args: {
      circleId: t.arg.id({ required: true, description: 'The circle. NOT_FOUND unless you belong to it.' }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the user. NOT_FOUND when nobody has it.',
      }),
    },
    resolve: (_root, args, context) =>
      circles.inviteToCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', args.circleId),
        email: args.email,
      }),
  }),
  acceptCircleInvitation: t.field({
    type: Circle,
    description: 'Joins the circle you are invited to, as MEMBER. Its readers get `MemberJoined`.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.acceptInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', args.invitationId),
      }),
  }),
  declineCircleInvitation: t.field({
    type: CircleInvitation,
    description: 'Refuses an invitation. Nobody is told. Answers the invitation as it was.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.declineInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', args.invitationId),
      }),
  }),
}));
