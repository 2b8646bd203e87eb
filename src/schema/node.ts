import { DomainError } from '../errors.ts';
import { parseGlobalId, parseId } from '../ids.ts';
import { builder } from './builder.ts';
import { STATEMENT_COST } from './complexity.ts';
import type { Context } from './context.ts';
import { requireActor } from './context.ts';
import { malformedIdError } from './global-id.ts';
import { findReader } from './node-types.ts';

const MAX_NODES = 100;

/**
 * Reads a node and adds its `__typename`, by which the interface is resolved; null if the caller may not see it.
 * Throws INVALID_INPUT for a malformed global id.
 */
export async function readNode(context: Context, field: string, globalId: string): Promise<object | null> {
  const parsed = parseGlobalId(globalId);
  const read = parsed && findReader(parsed.type);
  const id = parseId<never>(parsed?.id);
  if (read === undefined || id === undefined) throw malformedIdError(field, '<type>');
  try {
    const actor = requireActor(context);
    const node = await context.loaders.share(`node ${globalId}`, () => read(context.deps, actor, id));
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
      'The node with this global id; null if it does not exist or you may not see it. Errors: UNAUTHENTICATED, INVALID_INPUT.',
    args: { id: t.arg.id({ required: true, description: 'Global id, for example `Circle:3`.' }) },
    resolve: (_root, { id }, context) => {
      requireActor(context);
      return readNode(context, 'id', id);
    },
  }),
  nodes: t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    description:
      'The nodes with these global ids, in that order; null for each that does not exist or that you may not see. Each malformed id yields null and an INVALID_INPUT error. Errors: UNAUTHENTICATED, INVALID_INPUT, LIMIT_EXCEEDED.',
    complexity: ({ ids }) => {
      const count = Math.min(ids.length, MAX_NODES);
      return { field: count * STATEMENT_COST, multiplier: count };
    },
    args: {
      ids: t.arg.idList({ required: true, description: 'Global ids, at most 100, else LIMIT_EXCEEDED.' }),
    },
    resolve: (_root, { ids }, context) => {
      requireActor(context);
      if (ids.length > MAX_NODES) {
        throw new DomainError('LIMIT_EXCEEDED', `At most ${MAX_NODES} ids can be given.`, {
          field: 'ids',
          limit: `ids ${MAX_NODES}`,
        });
      }
      // Separate promises: a malformed id yields null with an error, without failing the others.
      return ids.map((id) => readNode(context, 'ids', id));
    },
  }),
}));
