import { defaultFieldResolver, getNullableType, isObjectType } from 'graphql';
import type { GraphQLFieldResolver, GraphQLOutputType, GraphQLSchema } from 'graphql';
import type { Circle, Conversation, Message } from '../domain/models.ts';
import type { Context } from './context.ts';

type Resolve = GraphQLFieldResolver<unknown, Context>;
/** Reads a thing again; undefined when it is gone, or the caller may not read it any more. */
type Reread = (thing: never, context: Context) => Promise<object | undefined>;

const REREADS: Readonly<Record<string, Reread>> = {
  Circle: ({ id }: Circle, { loaders }) => loaders.ownCircle(id),
  Conversation: async ({ id, circleId }: Conversation, { loaders }) =>
    (await loaders.ownConversationsOf(circleId))?.find((conversation) => conversation.id === id),
  Message: ({ id }: Message, { loaders }) => loaders.readableMessage(id),
};

/**
 * What a mutation answers, and what an event brings along, is as it was at that moment; an `eventCursor` beside it is
 * of later. In an operation that selects one, such things are therefore read again, in one snapshot with the cursor.
 */
export function withSnapshots(schema: GraphQLSchema): GraphQLSchema {
  const [query, mutation] = [schema.getQueryType(), schema.getMutationType()];
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type === query) continue;
    for (const field of Object.values(type.getFields())) {
      let resolve: Resolve = field.resolve ?? defaultFieldResolver;
      if (type === mutation) resolve = beforeSnapshot(resolve);
      field.resolve = rereading(resolve, field.type) as typeof field.resolve;
    }
  }
  return schema;
}

/** The mutation itself needs a transaction of its own; what it answers is read in a new snapshot. */
function beforeSnapshot(resolve: Resolve): Resolve {
  return async (parent, args, context, info) => {
    await context.leaveSnapshot();
    const answer: unknown = await resolve(parent, args, context, info);
    if (context.usesSnapshot) await context.enterSnapshot();
    return answer;
  };
}

function rereading(resolve: Resolve, type: GraphQLOutputType): Resolve {
  const reread = REREADS[String(getNullableType(type))];
  if (reread === undefined) return resolve;
  return (parent, args, context, info) => {
    const answer: unknown = resolve(parent, args, context, info);
    return context.usesSnapshot ? again(reread, answer, context) : answer;
  };
}

/** What cannot be read again stays as it was. */
async function again(reread: Reread, answer: unknown, context: Context): Promise<unknown> {
  const thing = await answer;
  if (thing === null || thing === undefined) return thing;
  return (await reread(thing as never, context)) ?? thing;
}
