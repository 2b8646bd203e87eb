import * as circles from '../domain/circles.ts';
import * as invitationBlocks from '../domain/invitation-blocks.ts';
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

const NO_USER = 0 as UserId;

CircleInvitation.implement({
  description:
    'An invitation of an e-mail address to a circle. It is held until an account has the address and accepts invitations of the inviter, and deleted when that account accepts or declines it.',
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
    email: t.string({
      nullable: true,
      ...perActor,
      description:
        'The invited e-mail address, as the inviter wrote it; null in `CircleInvited`. Whether an account has it is not shown.',
      resolve: async ({ email, userId }, _args, { loaders }) =>
        // Only older versions did not store the address. Their inviters know the account.
        email ?? (email === null && userId !== null ? (await loaders.user(userId))?.email : undefined),
    }),
    user: t.field({
      type: User,
      nullable: true,
      ...perActor,
      description:
        'The invited user; null unless it is you or shares a circle with you: the inviter cannot tell whether the e-mail address has an account.',
      // Also without an account, so that the time does not tell.
      resolve: ({ userId }, _args, { loaders }) => loaders.visibleUser(userId ?? NO_USER),
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

const InvitationBlocksType = builder.objectRef<invitationBlocks.InvitationBlocks>('InvitationBlocks');

InvitationBlocksType.implement({
  description: 'The invitations to circles that you block.',
  fields: (t) => ({
    everyone: t.exposeBoolean('everyone', { description: 'Whether you block the invitations of everyone.' }),
    users: t.field({
      type: [User],
      ...perActor,
      description: `The users whose invitations you block, at most 1,000. ${UNLESS_SHARED}`,
      resolve: async ({ userIds }, _args, { loaders }) =>
        (await Promise.all(userIds.map((id) => findNamedUser(loaders, id)))).filter(
          (user) => user !== undefined,
        ),
    }),
  }),
});

builder.objectField(User, 'invitationBlocks', (t) =>
  t.field({
    type: InvitationBlocksType,
    nullable: true,
    ...perActor,
    description: 'The invitations to circles that you block. Null unless the user is you.',
    resolve: ({ id }, _args, { loaders, session }) =>
      session?.actor.kind === 'user' && session.actor.id === id ? loaders.invitationBlocksOf(id) : null,
  }),
);

const blockedUserId = (id: string | null | undefined): UserId | undefined =>
  id == null ? undefined : requireId('User', 'userId', id);

builder.mutationFields((t) => ({
  blockInvitations: t.field({
    type: User,
    description:
      'Blocks the invitations to circles of a user, or of everyone without `userId`. Those that you have received leave your list; no one is notified. Returns you. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED.',
    args: {
      userId: t.arg.id({
        description:
          'Global id of the user. NOT_FOUND unless the user shares a circle with you or has invited you, INVALID_INPUT for your own.',
      }),
    },
    resolve: (_root, { userId }, context) =>
      invitationBlocks.blockInvitations(context.deps, requireActor(context), {
        userId: blockedUserId(userId),
      }),
  }),
  unblockInvitations: t.field({
    type: User,
    description:
      'Removes the block of a user, or that of everyone without `userId`, and publishes `CircleInvited` for each invitation that it has held. Returns you. Errors: UNAUTHENTICATED, FORBIDDEN, INVALID_INPUT.',
    args: { userId: t.arg.id({ description: 'Global id of the user.' }) },
    resolve: (_root, { userId }, context) =>
      invitationBlocks.unblockInvitations(context.deps, requireActor(context), {
        userId: blockedUserId(userId),
      }),
  }),
  inviteToCircle: t.field({
    type: CircleInvitation,
    description:
      'Invites the owner of an e-mail address to a circle. Allowed for its members, not for its device. Publishes `CircleInvited` in the inbox of the account that has the address, or will have it. CONFLICT if that account is already a member, or the address invited. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, CONFLICT, RATE_LIMITED, LIMIT_EXCEEDED.',
    args: {
      circleId: t.arg.id({
        required: true,
        description: 'Global id of the circle. NOT_FOUND unless you belong to it.',
      }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address to invite. The result does not show whether an account has it.',
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
