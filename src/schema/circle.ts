import * as circles from '../domain/circles.ts';
import type { Circle as CircleRow } from '../domain/models.ts';
import { circleTopic } from '../events/event.ts';
import type { CircleId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { connectionFromArray, wholeListComplexity } from './pagination.ts';
import { requireActor } from './context.ts';
import { requireFound, requireId } from './global-id.ts';
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
  User,
} from './refs.ts';
import { selects } from './selected-fields.ts';
import type { ConversationSource } from './refs.ts';

/** Loads the contents of a circle, each with the circle attached; empty unless the caller is a member. */
async function loadContents<Row>(
  circle: CircleRow,
  { ownCircle }: Loaders,
  load: (id: CircleId) => Promise<readonly Row[] | undefined>,
): Promise<(Row & { readonly circle: CircleRow })[]> {
  const rows = (await ownCircle(circle.id)) === undefined ? [] : await load(circle.id);
  return (rows ?? []).map((row) => ({ ...row, circle }));
}

Circle.implement({
  description:
    'A circle of people, such as a family, with at most one device. To non-members who may see it (invited or former members), its lists are empty.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id. Socket.IO clients receive it as `circle_id`.' }),
    name: t.exposeString('name', { description: 'The circle’s name.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time when the circle was last renamed.',
    }),
    eventCursor: t.field({
      type: 'Cursor',
      // The data beside it is reread with the caller's permissions: see snapshot-reads.ts.
      ...perActor,
      description:
        'Cursor for `circleEvents`: subscribing after it delivers every event that this response does not reflect yet. Consistent with all data selected beside it, in queries, mutation results and events alike.',
      resolve: async ({ id }, _args, { loaders }) =>
        requireFound('Circle', await loaders.eventCursor(circleTopic(id))),
    }),
    myRole: t.field({
      type: CircleRole,
      nullable: true,
      ...perActor,
      description: 'Your role in the circle; null for a device and for non-members.',
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
      description: 'The circle’s device; null if there is none.',
      resolve: async ({ id }, _args, { loaders }) =>
        (await loaders.ownCircle(id)) === undefined ? null : loaders.deviceOf(id),
    }),
    members: t.connection(
      {
        type: CircleMembership,
        ...perActor,
        description: 'The circle’s members, in order of joining.',
        resolve: async (circle, args, { loaders }) => {
          const members = await loadContents(circle, loaders, loaders.membersOf);
          return connectionFromArray('CircleMembership', members, args);
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
          const invitations = await loadContents(circle, loaders, loaders.invitationsOf);
          return connectionFromArray('CircleInvitation', invitations, args);
        },
      },
      CircleInvitationConnection,
    ),
    conversations: t.connection(
      {
        type: Conversation,
        ...perActor,
        description: 'The circle’s conversations in which you take part, oldest first.',
        resolve: async ({ id }, args, { loaders }, info) => {
          // In the statement that finds the conversations: one of its own would cost more than the counts.
          const load = selects(info, 'unreadCount')
            ? loaders.ownConversationsWithUnreadOf
            : loaders.ownConversationsOf;
          const conversations: readonly ConversationSource[] = (await load(id)) ?? [];
          return connectionFromArray<ConversationSource>(
            'Conversation',
            conversations.map((conversation) => ({ ...conversation, hasAccess: true })),
            args,
          );
        },
      },
      ConversationConnection,
    ),
  }),
});

CircleMembership.implement({
  description: 'The membership of a user in a circle.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', { description: 'Numeric id, as used by Socket.IO clients.' }),
    circle: t.field({
      type: Circle,
      description: 'The circle.',
      resolve: async ({ circle, circleId }, _args, { loaders }) =>
        circle ?? requireFound('Circle', await loaders.circle(circleId)),
    }),
    user: t.field({
      type: User,
      description: 'The member.',
      resolve: async ({ userId }, _args, { loaders }) => requireFound('User', await loaders.user(userId)),
    }),
    role: t.expose('role', { type: CircleRole, description: 'The member’s role.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Time of joining.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'Time of the last role change.' }),
  }),
});

const circleIdDescription = 'Global id of the circle. NOT_FOUND unless you belong to it.';
const nameDescription =
  'Name, 1 to 120 characters, at least one of them visible. Surrounding whitespace is removed.';

builder.queryFields((t) => ({
  circles: t.connection(
    {
      type: Circle,
      description:
        'The circles you belong to, oldest first; for a device, its circle. Errors: UNAUTHENTICATED, INVALID_INPUT, LIMIT_EXCEEDED.',
      complexity: wholeListComplexity,
      resolve: async (_root, args, context) =>
        connectionFromArray(
          'Circle',
          await circles.findCirclesByActor(context.deps, requireActor(context)),
          args,
        ),
    },
    CircleConnection,
  ),
  circle: t.field({
    type: Circle,
    nullable: true,
    description: 'A circle you belong to. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT.',
    args: { id: t.arg.id({ required: true, description: 'Global id of the circle.' }) },
    resolve(_root, { id }, context) {
      const [actor, circleId] = [requireActor(context), requireId('Circle', 'id', id)];
      return context.loaders.share(id, () => circles.requireCircle(context.deps, actor, circleId));
    },
  }),
}));

builder.mutationFields((t) => ({
  createCircle: t.field({
    type: Circle,
    description:
      'Creates a circle with you as its first member and ADMIN. FORBIDDEN for devices. Errors: UNAUTHENTICATED, INVALID_INPUT, FORBIDDEN.',
    args: { name: t.arg.string({ required: true, description: nameDescription }) },
    resolve: (_root, args, context) => circles.createCircle(context.deps, requireActor(context), args),
  }),
  updateCircle: t.field({
    type: Circle,
    description:
      'Renames a circle. Allowed for its members, not for its device. Publishes `CircleUpdated`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      circleId: t.arg.id({ required: true, description: circleIdDescription }),
      name: t.arg.string({ required: true, description: nameDescription }),
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
      'Deletes a circle with its conversations and its device. Allowed for its admins. Publishes `ConversationDeleted` and `CircleDeleted`. Returns the circle as it was. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { circleId: t.arg.id({ required: true, description: circleIdDescription }) },
    resolve: (_root, args, context) =>
      circles.deleteCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  leaveCircle: t.field({
    type: Circle,
    description:
      'Leaves a circle and all its conversations. If no ADMIN remains, the member who joined first becomes ADMIN; if no member remains, the circle is deleted. Returns the circle as it was. FORBIDDEN for devices. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { circleId: t.arg.id({ required: true, description: circleIdDescription }) },
    resolve: (_root, args, context) =>
      circles.leaveCircle(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', args.circleId),
      }),
  }),
  kickFromCircle: t.field({
    type: Circle,
    description:
      'Removes a member from a circle and all its conversations, and ends their streams there. Allowed for its admins; to leave yourself, use `leaveCircle`. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      circleId: t.arg.id({ required: true, description: circleIdDescription }),
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
