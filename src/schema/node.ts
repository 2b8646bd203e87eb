import { findVisibleUser } from '../domain/accounts.ts';
import { requireCircle, requireInvitation, requireMembership } from '../domain/circles.ts';
import { requireConversation, requireParticipant } from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { requireDevice } from '../domain/devices.ts';
import { requireMedia } from '../domain/media.ts';
import { requireMessage } from '../domain/messages.ts';
import { DomainError } from '../errors.ts';
import { parseGlobalId, parseId } from '../ids.ts';
import type { Id } from '../ids.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { requireActor } from './context.ts';
import { malformedId } from './global-id.ts';
import { STATEMENT } from './complexity.ts';
import type { ActorRef } from '../actor.ts';

const MAX_NODES = 100;

type Reader<Type extends string> = (deps: Deps, actor: ActorRef, id: Id<Type>) => Promise<object | undefined>;

/** How each type is read by one who may or may not see it. */
const READERS: { readonly [Type in string]?: Reader<never> } = {
  User: findVisibleUser satisfies Reader<'User'>,
  Device: requireDevice satisfies Reader<'Device'>,
  Circle: requireCircle satisfies Reader<'Circle'>,
  CircleMembership: requireMembership satisfies Reader<'CircleMembership'>,
  CircleInvitation: requireInvitation satisfies Reader<'CircleInvitation'>,
  Conversation: requireConversation satisfies Reader<'Conversation'>,
  Participant: requireParticipant satisfies Reader<'Participant'>,
  Message: requireMessage satisfies Reader<'Message'>,
  Media: requireMedia satisfies Reader<'Media'>,
};

/**
 * Reads a node, with its type's name, by which the interface is resolved; null for what the caller may not see. Throws
 * INVALID_INPUT for text that is no global id.
 */
async function readNode(context: Context, field: string, globalId: string): Promise<object | null> {
  const parsed = parseGlobalId(globalId);
  const read = parsed !== undefined && Object.hasOwn(READERS, parsed.type) ? READERS[parsed.type] : undefined;
  const id = parseId<never>(parsed?.id);
  if (read === undefined || id === undefined) throw malformedId(field, '<type>');
  try {
    const node = await read(context.deps, requireActor(context), id);
    return node === undefined ? null : { ...node, __typename: parsed?.type };
  } catch (error) {
    if (error instanceof DomainError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

builder.queryFields((t) => ({
  node: t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    description:
      'The node with this global id; null when there is none, or none that you may see. Errors: INVALID_INPUT for text that is no global id.',
    args: { id: t.arg.id({ required: true, description: 'Global id, such as `Circle:3`.' }) },
    resolve: (_root, { id }, context) => {
      requireActor(context);
      return readNode(context, 'id', id);
    },
  }),
  nodes: t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    description:
      'The nodes with these global ids, in that order; null for each that does not exist, or that you may not see. Errors: INVALID_INPUT for each text that is no global id, in whose position null is.',
    complexity: ({ ids }) => {
      const count = Math.min(ids.length, MAX_NODES);
      return { field: count * STATEMENT, multiplier: count };
    },
    args: {
      ids: t.arg.idList({ required: true, description: 'Global ids, at most 100: more is LIMIT_EXCEEDED.' }),
    },
    resolve: (_root, { ids }, context) => {
      requireActor(context);
      if (ids.length > MAX_NODES) {
        throw new DomainError('LIMIT_EXCEEDED', `At most ${MAX_NODES} ids can be given.`, {
          field: 'ids',
          limit: `ids ${MAX_NODES}`,
        });
      }
      // Each by itself, so that one that fails is null, with its error, and the others are there.
      return ids.map((id) => readNode(context, 'ids', id));
    },
  }),
}));
