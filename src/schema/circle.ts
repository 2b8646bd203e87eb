import * as circles from '../domain/circles.ts';
import type { Circle as CircleRow } from '../domain/models.ts';
import { circleTopic } from '../events/event.ts';
import type { CircleId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { pageOf, wholeListComplexity } from './pagination.ts';
import { requireActor } from './context.ts';
import { present, requireId } from './global-id.ts';
import type { Loaders } from './loaders.ts';
import {
  Circle,
  CircleConnection,
  CircleInvitation,
  CircleInvitationConnection,
  CircleMembership,
  CircleMembershipConnection,
  CircleRole,
  Conversation,
  ConversationConnection,
  Device,
} from './refs.ts';
import type { ConversationSource } from './refs.ts';

/** What is in a circle, each with the circle; nothing for a caller who does not belong to it. */
async function inside<Row>(
  circle: CircleRow,
  { ownCircle }: Loaders,
  load: (id: CircleId) => Promise<readonly Row[] | undefined>,
): Promise<(Row & { readonly circle: CircleRow })[]> {
  const rows = (await ownCircle(circle.id)) === undefined ? [] : await load(circle.id);
  return (rows ?? []).map((row) => ({ ...row, circle }));
}

Circle.implement({
  description:
    'A circle of people, such as a family, with at most one device. Who does not belong to it, as one who was invited or has left, sees its name and dates; its lists are empty then.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Its number, which Socket.IO clients know as `circle_id`.' }),
    name: t.exposeString('name', { description: 'What its members call it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last renamed.' }),
    eventCursor: t.field({
      type: 'Cursor',
      // What stands beside it is read again, as far as the caller may.
      ...perActor,
      description:
        'Subscribe to `circleEvents` after it to get all that happens next. It is read in the same snapshot as all that is selected with it, also in what a mutation answers or an event brings.',
      resolve: async ({ id }, _args, { loaders }) =>
        present('Circle', await loaders.eventCursor(circleTopic(id))),
    }),
    myRole: t.field({
      type: CircleRole,
      nullable: true,
      ...perActor,
      description: 'What you are in it; null for a device, and for one who does not belong to it.',
      resolve: async ({ id }, _args, { loaders, session }) => {
        if (session?.actor.kind !== 'user') return null;
        const members = (await loaders.membersOf(id)) ?? [];
        return members.find(({ userId }) => userId === session.actor.id)?.role;
      },
    }),
    device: t.field({
      type: Device,
      nullable: true,
      ...perActor,
      description: 'Its device; null when it has none.',
      resolve: async ({ id }, _args, { loaders }) =>
        (await loaders.ownCircle(id)) === undefined ? null : loaders.deviceOf(id),
    }),
    members: t.connection(
      {
        type: CircleMembership,
        ...perActor,
        description: 'Who belongs to it, in the order of joining.',
        resolve: async (circle, args, { loaders }) => {
          const members = await inside(circle, loaders, loaders.membersOf);
          return pageOf('CircleMembership', members, args);
        },
      },
      CircleMembershipConnection,
    ),
    invitations: t.connection(
      {
        type: CircleInvitation,
        ...perActor,
        description: 'Invitations to it that are not answered yet, oldest first.',
        resolve: async (circle, args, { loaders }) => {
          const invitations = await inside(circle, loaders, loaders.invitationsOf);
          return pageOf('CircleInvitation', invitations, args);
        },
      },
      CircleInvitationConnection,
    ),
    conversations: t.connection(
      {
        type: Conversation,
        ...perActor,
        description: 'Those of its conversations in which you take part, oldest first.',
        resolve: async ({ id }, args, { loaders }) => {
          const mine = (await loaders.ownConversationsOf(id)) ?? [];
          return pageOf<ConversationSource>(
            'Conversation',
            mine.map((conversation) => ({ ...conversation, isMine: true })),
            args,
          );
        },
      },
      ConversationConnection,
    ),
  }),
});

const circleId = 'The circle. NOT_FOUND unless you belong to it.';
const name = 'Its name, 1 to 120 characters, at least one of them visible. Blanks around it are left out.';

builder.queryFields((t) => ({
  circles: t.connection(
    {
      type: Circle,
      description: 'The circles you belong to, oldest first. For a device, the one that has it.',
      complexity: wholeListComplexity,
      resolve: async (_root, args, context) =>
        pageOf('Circle', await circles.findCirclesOf(context.deps, requireActor(context)), args),
    },
    CircleConnection,
  ),
  circle: t.field({
    type: Circle,
    nullable: true,
    description: 'A circle you belong to; NOT_FOUND for any other.',
    args: { id: t.arg.id({ required: true, description: 'Its global id.' }) },
    resolve: (_root, { id }, context) =>
      circles.requireCircle(context.deps, requireActor(context), requireId('Circle', 'id', id)),
  }),
}));

builder.mutationFields((t) => ({
  createCircle: t.field({
    type: Circle,
    description: 'Creates a circle, with you as its first member and ADMIN. FORBIDDEN for devices.',
    args: { name: t.arg.string({ required: true, description: name }) },
    resolve: (_root, args, context) => circles.createCircle(context.deps, requireActor(context), args),
  }),
  updateCircle: t.field({
    type: Circle,
    description: 'Renames a circle. Any of its members may. Its readers get `CircleUpdated`.',
    args: {
      circleId: t.arg.id({ required: true, description: circleId }),
      name: t.arg.string({ required: true, description: name }),
    },
    resolve: (_root, args, context) =>
      circles.updateCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
        name: args.name,
      }),
  }),
  deleteCircle: t.field({
    type: Circle,
    description:
      'Deletes a circle with its conversations and its device. Only for its admins. Their readers get `ConversationDeleted` and `CircleDeleted`. Answers the circle as it was.',
    args: { circleId: t.arg.id({ required: true, description: circleId }) },
    resolve: (_root, args, context) =>
      circles.deleteCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  leaveCircle: t.field({
    type: Circle,
    description:
      'Leaves a circle, and with it all its conversations. The oldest member becomes ADMIN when the last one leaves; the last member takes the circle along. Answers the circle as it was.',
    args: { circleId: t.arg.id({ required: true, description: circleId }) },
    resolve: (_root, args, context) =>
      circles.leaveCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  kickFromCircle: t.field({
    type: Circle,
    description:
      'Removes a member from a circle and from all its conversations; every stream that they have open there ends. Only for its admins; to go yourself, use `leaveCircle`.',
    args: {
      circleId: t.arg.id({ required: true, description: circleId }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the member. NOT_FOUND when there is none.',
      }),
    },
    resolve: (_root, args, context) =>
      circles.kickFromCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
        email: args.email,
      }),
  }),
}));
