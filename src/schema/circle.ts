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
    'A group of users, such as a family, with at most one device. Callers outside it, such as invited or former members, see its name and times; its lists are empty for them.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id: `circle_id` of Socket.IO clients.' }),
    name: t.exposeString('name', { description: 'Name of the circle.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last rename.' }),
    eventCursor: t.field({
      type: 'Cursor',
      // What stands beside it is read again, as far as the caller may.
      ...perActor,
      description:
        'Cursor to subscribe to `circleEvents` after, for every later event. Read in the same snapshot as all fields selected with it, also in the result of a mutation and in an event.',
      resolve: async ({ id }, _args, { loaders }) =>
        present('Circle', await loaders.eventCursor(circleTopic(id))),
    }),
    myRole: t.field({
      type: CircleRole,
      nullable: true,
      ...perActor,
      description: 'The caller’s role; null for a device and for a user outside the circle.',
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
      description: 'The circle’s device; null if it has none.',
      resolve: async ({ id }, _args, { loaders }) =>
        (await loaders.ownCircle(id)) === undefined ? null : loaders.deviceOf(id),
    }),
    members: t.connection(
      {
        type: CircleMembership,
        ...perActor,
        description: 'The members, in the order of joining.',
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
        description: 'Pending invitations to the circle, oldest first.',
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
        description: 'The circle’s conversations that the caller participates in, oldest first.',
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

const circleId = 'Global id of a circle. NOT_FOUND unless the caller belongs to it.';
const name = 'Name, 1 to 120 characters, at least one visible. Surrounding whitespace is trimmed.';

builder.queryFields((t) => ({
  circles: t.connection(
    {
      type: Circle,
      description: 'The caller’s circles, oldest first. For a device: its circle. Errors: UNAUTHENTICATED.',
      complexity: wholeListComplexity,
      resolve: async (_root, args, context) =>
        pageOf('Circle', await circles.findCirclesOf(context.deps, requireActor(context)), args),
    },
    CircleConnection,
  ),
  circle: t.field({
    type: Circle,
    nullable: true,
    description: 'A circle that the caller belongs to. Errors: NOT_FOUND.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_root, { id }, context) =>
      circles.requireCircle(context.deps, requireActor(context), requireId('Circle', 'id', id)),
  }),
}));

builder.mutationFields((t) => ({
  createCircle: t.field({
    type: Circle,
    description: 'Creates a circle with the caller as ADMIN. Users only. Errors: INVALID_INPUT, FORBIDDEN.',
    args: { name: t.arg.string({ required: true, description: name }) },
    resolve: (_root, args, context) => circles.createCircle(context.deps, requireActor(context), args),
  }),
  updateCircle: t.field({
    type: Circle,
    description:
      'Renames a circle. Members only. Publishes `CircleUpdated`. Errors: NOT_FOUND, FORBIDDEN, INVALID_INPUT.',
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
      'Deletes a circle with its conversations and its device. ADMIN only. Publishes `ConversationDeleted` and `CircleDeleted`. Returns the deleted circle. Errors: NOT_FOUND, FORBIDDEN.',
    args: { circleId: t.arg.id({ required: true, description: circleId }) },
    resolve: (_root, args, context) =>
      circles.deleteCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  leaveCircle: t.field({
    type: Circle,
    description:
      'Leaves a circle and all its conversations. If no ADMIN remains, the oldest member becomes ADMIN; without members, the circle is deleted. Returns the circle as it was before. Errors: NOT_FOUND, FORBIDDEN.',
    args: { circleId: t.arg.id({ required: true, description: circleId }) },
    resolve: (_root, args, context) =>
      circles.leaveCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  kickFromCircle: t.field({
    type: Circle,
    description:
      'Removes a member from a circle and from all its conversations, and ends the member’s streams of them. ADMIN only; `leaveCircle` removes the caller. Errors: NOT_FOUND, FORBIDDEN.',
    args: {
      circleId: t.arg.id({ required: true, description: circleId }),
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the member. NOT_FOUND if no member has it.',
      }),
    },
    resolve: (_root, args, context) =>
      circles.kickFromCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
        email: args.email,
      }),
  }),
}));
