import { defaultFieldResolver, getNullableType, isObjectType } from 'graphql';
import type {
  GraphQLField,
  GraphQLFieldResolver,
  GraphQLObjectType,
  GraphQLOutputType,
  GraphQLSchema,
} from 'graphql';
import type { Circle, Conversation, Message } from '../domain/models.ts';
import type { Context } from './context.ts';

type Resolve = GraphQLFieldResolver<unknown, Context>;
/** Reads an object again; undefined if it was deleted or the caller lost access to it. */
type Reread = (value: never, context: Context) => Promise<object | undefined>;

const REREADS: Readonly<Record<string, Reread>> = {
  Circle: ({ id }: Circle, { loaders }) => loaders.ownCircle(id),
  Conversation: async ({ id, circleId }: Conversation, { loaders }) =>
    (await loaders.ownConversationsOf(circleId))?.find((conversation) => conversation.id === id),
  Message: ({ id }: Message, { loaders }) => loaders.readableMessage(id),
};

/**
 * Makes mutation results and events consistent with an `eventCursor` selected beside them. The data of a result or event
 * is older than the cursor, so operations that select a cursor reread the data in the snapshot of the cursor. Replaces
 * the resolvers of the built schema, because Pothos has no hook for fields by their return type.
 */
export function withSnapshotReads(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      const resolve: Resolve = field.resolve ?? defaultFieldResolver;
      field.resolve = withSnapshotRead(schema, type, field, resolve) as typeof field.resolve;
    }
  }
  return schema;
}

/** Wraps the resolver of a field. That of a query reads in the snapshot anyway. */
export function withSnapshotRead(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  field: Pick<GraphQLField<unknown, unknown>, 'type' | 'extensions'>,
  resolve: Resolve,
): Resolve {
  if (type === schema.getQueryType()) return resolve;
  return withReread(type === schema.getMutationType() ? asMutation(resolve, field) : resolve, field.type);
}

/**
 * Runs a mutation with the session of its caller only while that is active: it may have waited, behind others of its
 * operation too. Runs it outside the snapshot, which is read-only, and enters a new one for its result.
 */
function asMutation(
  resolve: Resolve,
  { extensions }: Pick<GraphQLField<unknown, unknown>, 'extensions'>,
): Resolve {
  return async (parent, args, context, info) => {
    if (context.usesSnapshot) await context.leaveSnapshot();
    context.forgetLoaded();
    if (extensions['checksSession'] !== true) await context.dropEndedSession();
    const result: unknown = await resolve(parent, args, context, info);
    if (context.usesSnapshot) await context.enterSnapshot();
    return result;
  };
}

function withReread(resolve: Resolve, type: GraphQLOutputType): Resolve {
  const reread = REREADS[String(getNullableType(type))];
  if (reread === undefined) return resolve;
  return (parent, args, context, info) => {
    const result: unknown = resolve(parent, args, context, info);
    return context.usesSnapshot ? rereadResult(reread, result, context) : result;
  };
}

/** Rereads a result; keeps it as it is if that returns nothing, as after a deletion. */
async function rereadResult(reread: Reread, result: unknown, context: Context): Promise<unknown> {
  const value = await result;
  if (value === null || value === undefined) return value;
  return (await reread(value as never, context)) ?? value;
}
