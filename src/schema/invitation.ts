import * as circles from '../domain/circles.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { present, requireId } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import { Circle, CircleInvitation, User } from './refs.ts';
import type { UserSource } from './refs.ts';

const STRANGER = 'Without a common circle, `birthday` and presence are hidden from the caller.';

/** An invitation makes two known to each other by name before they share anything. */
async function introduced(loaders: Loaders, id: UserId): Promise<UserSource | undefined> {
  const [user, known] = await Promise.all([loaders.user(id), loaders.visibleUser(id)]);
  return known ?? (user && { ...user, birthday: null, online: false });
}

CircleInvitation.implement({
  description: 'A pending invitation of a user to a circle. Accepting or declining deletes it.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id: `circle_invite_id` of Socket.IO clients.',
    }),
    circle: t.field({
      type: Circle,
      description:
        'The circle. The invited user sees its name and times; its lists are empty until the user joins.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? present('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      ...perActor,
      description: `The invited user. ${STRANGER}`,
      resolve: async ({ userId }, _args, { loaders }) => present('User', await introduced(loaders, userId)),
    }),
    invitedBy: t.field({
      type: User,
      nullable: true,
      ...perActor,
      description: `The member who invited; null if that account has been deleted. ${STRANGER}`,
      resolve: ({ invitedById }, _args, { loaders }) =>
        invitedById === null ? null : introduced(loaders, invitedById),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
  }),
});

const invitationId =
  'Global id of an invitation. NOT_FOUND once it is answered, FORBIDDEN if it is for another user.';

builder.mutationFields((t) => ({
  inviteToCircle: t.field({
    type: CircleInvitation,
    description:
      'Invites a user to a circle. Members only. Publishes `CircleInvited` in the inbox of the user. CONFLICT if the user is a member or invited already. Errors: NOT_FOUND, FORBIDDEN, CONFLICT.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of a circle. NOT_FOUND unless the caller belongs to it.',
      }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the user. NOT_FOUND if no account has it.',
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
    description:
      'Accepts an invitation and joins the circle as MEMBER. Publishes `MemberJoined`. Errors: NOT_FOUND, FORBIDDEN.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.acceptInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
  declineCircleInvitation: t.field({
    type: CircleInvitation,
    description:
      'Declines an invitation, without notifying anyone. Returns the deleted invitation. Errors: NOT_FOUND, FORBIDDEN.',
    args: { invitationId: t.arg.id({ required: true, description: invitationId }) },
    resolve: (_root, args, context) =>
      circles.declineInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
}));
