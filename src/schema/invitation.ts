import * as circles from '../domain/circles.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { present, requireId } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import { Circle, CircleInvitation, User } from './refs.ts';
import type { UserSource } from './refs.ts';

const STRANGER =
  'While you share no circle with them you see their name and e-mail, not their `birthday` or whether they are online.';

/** An invitation makes two known to each other by name before they share anything. */
async function introduced(loaders: Loaders, id: UserId): Promise<UserSource | undefined> {
  const [user, known] = await Promise.all([loaders.user(id), loaders.visibleUser(id)]);
  return known ?? (user && { ...user, birthday: null, online: false });
}

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
      ...perActor,
      description: `Who is invited. ${STRANGER}`,
      resolve: async ({ userId }, _args, { loaders }) => present('User', await introduced(loaders, userId)),
    }),
    invitedBy: t.field({
      type: User,
      nullable: true,
      ...perActor,
      description: `The member who invites; null when that account is gone. ${STRANGER}`,
      resolve: ({ invitedById }, _args, { loaders }) =>
        invitedById === null ? null : introduced(loaders, invitedById),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

const invitationId =
  'The invitation. NOT_FOUND when it is answered already, FORBIDDEN when you see it but it is for somebody else.';

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
        circleId: requireId('Circle', 'circleId', args.circleId),
        email: args.email,
      }),
  }),
  acceptCircleInvitation: t.field({
    type: Circle,
    description: 'Joins the circle you are invited to, as MEMBER. Its readers get `MemberJoined`.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.acceptInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
  declineCircleInvitation: t.field({
    type: CircleInvitation,
    description: 'Refuses an invitation. Nobody is told. Answers the invitation as it was.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.declineInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
}));
