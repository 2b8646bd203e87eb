import * as circles from '../domain/circles.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { requireFound, requireId } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import { Circle, CircleInvitation, User } from './refs.ts';
import type { UserSource } from './refs.ts';

const UNLESS_SHARED = 'Unless you share a circle, `birthday` is null and `isOnline` false.';

/** Loads a user named in an invitation; without date of birth and online status unless the caller shares a circle. */
async function findNamedUser(loaders: Loaders, id: UserId): Promise<UserSource | undefined> {
  const [user, visibleUser] = await Promise.all([loaders.user(id), loaders.visibleUser(id)]);
  return visibleUser ?? (user && { ...user, birthday: null, online: false });
}

CircleInvitation.implement({
  description: 'An invitation of a user to a circle. Deleted when the user accepts or declines it.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id. Socket.IO clients receive it as `circle_invite_id`.',
    }),
    circle: t.field({
      type: Circle,
      description: 'The circle. To the invited user its lists are empty.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? requireFound('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      ...perActor,
      description: `The invited user. ${UNLESS_SHARED}`,
      resolve: async ({ userId }, _args, { loaders }) =>
        requireFound('User', await findNamedUser(loaders, userId)),
    }),
    invitedBy: t.field({
      type: User,
      nullable: true,
      ...perActor,
      description: `The member who sent the invitation; null if that account was deleted. ${UNLESS_SHARED}`,
      resolve: ({ invitedById }, _args, { loaders }) =>
        invitedById === null ? null : findNamedUser(loaders, invitedById),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
  }),
});

const invitationIdDescription =
  'Global id of the invitation. NOT_FOUND if it has been accepted or declined, FORBIDDEN if it is for another user.';

builder.mutationFields((t) => ({
  inviteToCircle: t.field({
    type: CircleInvitation,
    description:
      'Invites a user to a circle. Allowed for its members, not for its device. Publishes `CircleInvited` in the user’s inbox. CONFLICT if the user is already a member or invited. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CONFLICT.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of the circle. NOT_FOUND unless you belong to it.',
      }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the user. NOT_FOUND if no user has it.',
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
      'Accepts an invitation and joins the circle as MEMBER. Publishes `MemberJoined`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { invitationId: t.arg.id({ required: true, description: invitationIdDescription }) },
    resolve: (_root, args, context) =>
      circles.acceptInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
  declineCircleInvitation: t.field({
    type: CircleInvitation,
    description:
      'Declines an invitation. Publishes no event. Returns the invitation as it was. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { invitationId: t.arg.id({ required: true, description: invitationIdDescription }) },
    resolve: (_root, args, context) =>
      circles.declineInvitation(context.deps, requireActor(context), {
        invitationId: requireId('CircleInvitation', 'invitationId', args.invitationId),
      }),
  }),
}));
